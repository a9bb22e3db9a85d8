use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

fn action(value: serde_json::Value) -> HTTPGetAction {
    serde_json::from_value(value).unwrap()
}

/// A server that gives these answers, one per connection; answers what it was asked.
async fn serve(answers: impl IntoIterator<Item = &'static str>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers: Vec<&str> = answers.into_iter().collect();
    #[allow(clippy::disallowed_methods)] // tests need no supervision
    let task = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            let count = stream.read(&mut buffer).await.unwrap();
            asked.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    });
    (port, task)
}

async fn ask_for(port: u16, path: &str) -> Result<Answer, HttpCheckError> {
    let action = action(json!({ "path": path, "port": port }));
    get(&url(&Container::default(), &action, "127.0.0.1").unwrap(), &action, Purpose::Probe, 8).await
}

#[tokio::test]
async fn a_request_is_upstreams() {
    let (port, server) = serve(["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"]).await;
    let answer = ask_for(port, "/a b?x=1").await.unwrap();
    assert_eq!(answer, Answer { status: 200, body: b"hi".to_vec() });
    let asked = server.await.unwrap().remove(0).to_lowercase();
    assert!(asked.starts_with("get /a%20b?x=1 http/1.1\r\n"), "{asked}");
    let host = format!("host: 127.0.0.1:{port}");
    for line in [host.as_str(), "user-agent: kube-probe/1.36", "accept: */*", "connection: close"] {
        assert!(asked.contains(&format!("\r\n{line}\r\n")), "{line} is missing in {asked}");
    }
}

#[test]
fn headers_can_be_replaced_and_removed() {
    let action = action(json!({ "port": 80, "httpHeaders": [
        { "name": "host", "value": "example.com" }, { "name": "User-Agent", "value": "me" },
        { "name": "Accept", "value": "" }, { "name": "X-A", "value": "1" }, { "name": "X-A", "value": "2" },
    ]}));
    let url = url(&Container::default(), &action, "10.9.0.1").unwrap();
    let request = request(&url, &action, Purpose::Lifecycle).unwrap();
    let values =
        |name: &str| request.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!((values("host"), values("user-agent")), (vec!["example.com"], vec!["me"]));
    assert_eq!((values("accept"), values("x-a")), (vec![], vec!["1", "2"]));
}

#[tokio::test]
async fn redirects_are_followed_on_the_host_and_no_further() {
    let moved = "HTTP/1.1 302 Found\r\nlocation: next?y\r\ncontent-length: 0\r\n\r\n";
    let (port, server) = serve([moved, "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"]).await;
    assert_eq!(ask_for(port, "/a/b").await.unwrap().status, 503);
    assert!(server.await.unwrap()[1].starts_with("GET /a/next?y HTTP"));
    let away = "HTTP/1.1 301 Moved\r\nlocation: http://example.com/\r\ncontent-length: 12\r\n\r\nmoved for you";
    let (port, _server) = serve([away]).await;
    assert_eq!(ask_for(port, "/").await.unwrap(), Answer { status: 301, body: b"moved fo".to_vec() });
    let (port, _server) = serve(["HTTP/1.1 302 F\r\nlocation: /\r\ncontent-length: 0\r\n\r\n"; 11]).await;
    let error = ask_for(port, "/").await.unwrap_err();
    assert_eq!(error.to_string(), format!("Get \"http://127.0.0.1:{port}/\": stopped after 10 redirects"));
}

#[tokio::test]
async fn failures_are_told_in_words_users_know() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = ask_for(port, "/x").await.unwrap_err().to_string();
    let dialled = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    assert_eq!(error, format!("Get \"http://127.0.0.1:{port}/x\": {dialled}"));
    let (port, _server) = serve([""]).await;
    assert_eq!(ask_for(port, "/").await.unwrap_err().problem, "EOF");
    let (port, _server) = serve(["HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"]).await;
    let secure = action(json!({ "port": port, "scheme": "HTTPS" }));
    let url = url(&Container::default(), &secure, "127.0.0.1").unwrap();
    assert_eq!(get(&url, &secure, Purpose::Probe, 0).await.unwrap_err().problem, tls::NOT_TLS);
}

#[test]
fn ports_are_numbers_or_names() {
    let container: Container =
        serde_json::from_value(json!({ "name": "c", "ports": [{ "name": "web", "containerPort": 81 }] })).unwrap();
    let check = |port: IntOrString| port_number(&container, &port).map_err(|error| error.to_string());
    let name = |text: &str| IntOrString::String(text.to_owned());
    assert_eq!((check(IntOrString::Int(80)), check(name("web")), check(name("82"))), (Ok(80), Ok(81), Ok(82)));
    assert_eq!(check(name("db")), Err("strconv.Atoi: parsing \"db\": invalid syntax".to_owned()));
    assert_eq!(check(IntOrString::Int(0)), Err("invalid port number: 0".to_owned()));
}

#[test]
fn locations_are_joined() {
    let url = Url { https: false, host: "h".to_owned(), port: 81, target: "/a/b?c".to_owned() };
    for (location, joined) in [
        ("/x", "http://h:81/x"),
        ("x#part", "http://h:81/a/x"),
        ("?q", "http://h:81/a/b?q"),
        ("https://h", "https://h:443/"),
        ("//other:1/y", "http://other:1/y"),
        ("http://[fd00::1]/z", "http://[fd00::1]:80/z"),
    ] {
        assert_eq!(url.join(location).unwrap().to_string(), joined);
    }
    assert_eq!(url.join("http://a b/"), None);
}
