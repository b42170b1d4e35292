//! The example `sessions`: each client has a name, an allowance and numbers of its own.

use leads_comm_testing::wire::Peer;

use crate::process::Process;

#[test]
fn each_connection_is_a_session() {
    // In no test's life is another command earned.
    let sessions = Process::start("sessions", &["--port", "0", "--rate", "0.001", "--burst", "3"]);
    let port = sessions.port();
    let first = Peer::connect(port);
    let nobody = "refused: say `hello NAME` first, 1 to 24 letters and digits;";
    first.write("hazard;hello ;hello a b;hello \x1b[2J;hello 0123456789012345678901234;");
    first.expect(nobody.repeat(5));
    first.write("hello Ada;");
    first.expect("welcome, Ada;");
    let second = Peer::connect(port);
    second.write("hello Grace;");
    second.expect("welcome, Grace;");

    // Each its own numbers, in its own time.
    first.write("hazard;time_lap;");
    first.expect("1 done;2 done;");
    second.write("hazard;");
    second.expect("1 done;");
    // A second hello is a command like any other, and too many are refused, with the reason.
    first.write("hello Eve;m1;m1;");
    first.expect("3 done;refused: more than 0.001 commands a second;refused: more than 0.001 commands a second;");
    second.write("a\x07b;");
    second.expect("2 done;");

    first.say_goodbye();
    let leaves = sessions.line_with("leaves");
    assert!(leaves.starts_with("Ada leaves after 3 commands, 2 refused: "), "{leaves}");
    // What was kept has gone with the connection: nobody is Ada now.
    let third = Peer::connect(port);
    third.write("m1;hello Ada;m1;");
    third.expect(nobody);
    third.expect("welcome, Ada;1 done;");
    sessions.signal("TERM");
    second.expect_goodbye();
    third.expect_goodbye();
    let ended = sessions.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    let left = ended.stdout.iter().filter(|line| line.contains("leaves after")).count();
    assert_eq!(left, 2, "{ended:?}");
}

#[test]
fn what_is_said_is_shown_by_name_and_number() {
    let sessions = Process::start("sessions", &["--port", "0"]);
    let peer = Peer::connect(sessions.port());
    peer.write("hello Ada;m1;a\x07b;");
    peer.expect("welcome, Ada;1 done;2 done;");
    assert_eq!(sessions.line(), "Ada is here");
    assert_eq!(sessions.line(), "Ada 1: m1");
    // What could upset a terminal is not shown as it is.
    assert_eq!(sessions.line(), "Ada 2: a\\u{7}b");
}
