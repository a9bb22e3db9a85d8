#!/bin/sh
hostname >/usr/share/nginx/html/hostname.html
exec nginx -g 'daemon off;'
