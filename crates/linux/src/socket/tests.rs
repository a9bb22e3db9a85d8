use std::fs::File;
use std::io::{Read, Write};

use super::*;

struct Directory(std::path::PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ =
            std::fs::remove_dir_all(self.0.ancestors().find(|path| path.parent() == Some(Path::new("/tmp"))).unwrap());
    }
}

#[test]
fn messages_carry_open_files() {
    let (near, far) = pair().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    send(near.as_fd(), b"take this", &[writer.as_fd()]).unwrap();
    drop(writer);
    let mut received = receive(far.as_fd()).unwrap();
    assert_eq!(received.message, b"take this");
    File::from(received.files.remove(0)).write_all(b"hello").unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    drop(near);
    assert!(receive(far.as_fd()).unwrap().message.is_empty());
}

#[test]
fn listens_in_directories_with_long_names() {
    let root = Path::new("/tmp").join(format!("linux-socket-test-{}", std::process::id()));
    let directory = Directory(root.join("d".repeat(200)));
    std::fs::create_dir_all(&directory.0).unwrap();
    assert_eq!(connect(&directory.0, "s").unwrap_err().kind(), io::ErrorKind::NotFound);
    let listener = listen(&directory.0, "s").unwrap();
    let client = connect(&directory.0, "s").unwrap();
    let server = accept(listener.as_fd()).unwrap();
    send(client.as_fd(), b"x", &[]).unwrap();
    assert_eq!(receive(server.as_fd()).unwrap().message, b"x");
    let long = vec![7; 100_000];
    send(client.as_fd(), &long, &[]).unwrap();
    assert_eq!(receive(server.as_fd()).unwrap().message, long);
    drop((listener, server));
    let again = listen(&directory.0, "s").unwrap();
    drop(again);
    assert_eq!(connect(&directory.0, "s").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}
