#!/bin/sh
# Stands in for Tomcat: says which applications are there at the start, then serves them as files.
cd /usr/local/tomcat/webapps || exit 1
for application in *.war; do
  [ -e "$application" ] && echo "Deploying web application archive [/usr/local/tomcat/webapps/$application]"
done
exec nginx -g 'daemon off;'
