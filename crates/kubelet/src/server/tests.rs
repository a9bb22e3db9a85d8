use http::Method;

use super::logs::{LogOptions, LogStream};
use super::metrics::Page;
use super::routes::{PodName, Route, Streams, parse};
use crate::stats::Detail;

fn route(text: &str) -> Result<Route, u16> {
    let (method, uri) = text.split_once(' ').unwrap();
    parse(&method.parse::<Method>().unwrap(), &uri.parse().unwrap()).map_err(|refusal| refusal.status.as_u16())
}

fn pod() -> PodName {
    PodName { namespace: "default".to_owned(), name: "web".to_owned(), uid: None }
}

#[test]
fn log_requests_carry_their_options() {
    let query = "follow=true&previous=true&tailLines=5&sinceSeconds=9&timestamps=true&limitBytes=7&stream=Stderr";
    let options = LogOptions {
        follow: true,
        previous: true,
        timestamps: true,
        tail_lines: Some(5),
        since_seconds: Some(9),
        since_time: None,
        limit_bytes: Some(7),
        stream: Some(LogStream::Stderr),
    };
    let expected = Route::Logs { pod: pod(), container: "app".to_owned(), options };
    assert_eq!(route(&format!("GET /containerLogs/default/web/app?{query}")), Ok(expected));
    assert_eq!(route("GET /containerLogs/default/web/app?tailLines=-1"), Err(400));
    assert_eq!(route("GET /containerLogs/default/web/app?sinceTime=yesterday"), Err(400));
}

#[test]
fn sessions_name_streams_and_command() {
    let streams = Streams { stdin: true, stdout: true, stderr: false, tty: true };
    let command = vec!["sh".to_owned(), "-c".to_owned(), "echo a b&c".to_owned()];
    let expected = Route::Exec { pod: pod(), container: "app".to_owned(), streams, command };
    let query = "command=sh&command=-c&command=echo+a%20b%26c&input=1&output=1&tty=1";
    assert_eq!(route(&format!("POST /exec/default/web/app?{query}")), Ok(expected));
    let with_uid = PodName { uid: Some("u1".to_owned()), ..pod() };
    let streams = Streams { stdin: false, stdout: true, stderr: true, tty: false };
    let expected = Route::Attach { pod: with_uid, container: "app".to_owned(), streams };
    assert_eq!(route("GET /attach/default/web/u1/app?output=1&error=1"), Ok(expected));
    assert_eq!(route("GET /exec/default/web/app?command=sh"), Err(400));
    let forward = Route::PortForward { pod: pod(), ports: vec![80, 81] };
    assert_eq!(route("GET /portForward/default/web?port=80&port=81"), Ok(forward));
}

#[test]
fn everything_else_is_not_found() {
    assert_eq!(route("GET /healthz"), Ok(Route::Healthz));
    assert_eq!(route("GET /pods/"), Ok(Route::Pods));
    assert_eq!(route("GET /metrics/probes"), Ok(Route::ProbeMetrics));
    assert_eq!(route("GET /metrics/cadvisor"), Ok(Route::Metrics(Page::Cadvisor)));
    assert_eq!(route("GET /stats/summary?only_cpu_and_memory=true"), Ok(Route::Stats(Detail::CpuAndMemory)));
    assert_eq!(route("GET /stats/summary/"), Ok(Route::Stats(Detail::All)));
    assert_eq!(route("GET /runningpods/"), Ok(Route::RunningPods));
    assert_eq!(route("GET /"), Err(404));
    assert_eq!(route("POST /pods"), Err(404));
    assert_eq!(route("GET /exec/default/web"), Err(404));
}
