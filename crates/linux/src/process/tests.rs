use super::*;

#[test]
fn refuses_to_copy_a_process_of_several_threads() {
    // The test harness runs each test on a thread of its own beside the main one.
    let error = clone_child(&CloneRequest::default(), || exit_now(0)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    assert_eq!(daemonize().unwrap_err().raw_os_error(), Some(libc::EINVAL));
}

#[test]
fn signals_name_one_process_only() {
    for pid in [0, -1, -5] {
        assert_eq!(kill(pid, 0).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{pid}");
    }
    assert!(kill(std::process::id() as i32, 0).is_ok());
    let own = open(std::process::id() as i32).unwrap();
    assert!(signal(std::os::fd::AsFd::as_fd(&own), 0).is_ok());
}

#[test]
fn exit_codes_follow_the_shell() {
    assert_eq!(ExitStatus::Code(3).code(), 3);
    assert_eq!(ExitStatus::Signal(libc::SIGKILL).code(), 137);
}
