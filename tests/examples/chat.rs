//! The example `chat`: who is told what.

use crate::process::Process;
use crate::wire::Peer;

#[test]
fn a_conversation() {
    let chat = Process::start("chat", &["--port", "0"]);
    let port = chat.port();
    let first = Peer::connect(port);
    assert!(first.message().starts_with("welcome, guest1."));
    let second = Peer::connect(port);
    assert!(second.message().starts_with("welcome, guest2."));
    first.expect("guest2 joins;");
    first.write("/name Ada;");
    first.expect("you are Ada now;");
    second.expect("guest1 is Ada now;");

    // As netcat sends it: with a line end before the next message.
    first.write("hello;\n how are you?;");
    second.expect("Ada: hello;Ada: how are you?;");
    second.write("fine \x1b[2J\x07thanks;");
    // The first thing after the new name: nobody hears themselves. What could upset a terminal is left out.
    first.expect("guest2: fine [2Jthanks;");
    second.write("/name Ada;/name ;/name Grace;/who;");
    for answer in ["a name has", "a name has", "you are Grace now"] {
        let message = second.message();
        assert!(message.starts_with(answer), "{message:?}");
    }
    let mut names: Vec<String> = second.message().split(", ").map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["Ada", "Grace"]);
    first.expect("guest2 is Grace now;");

    first.say_goodbye();
    second.expect("Ada leaves;");
    chat.signal("TERM");
    second.expect_goodbye();
    let ended = chat.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    let said: Vec<&str> = ended.stdout.iter().map(String::as_str).collect();
    let expected = [
        "guest1 joins",
        "guest2 joins",
        "guest1 is Ada now",
        "Ada: hello",
        "Ada: how are you?",
        "guest2: fine [2Jthanks",
        "guest2 is Grace now",
        "Ada leaves",
    ];
    assert_eq!(said, expected);
}
