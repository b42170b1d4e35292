//! The example `chat`: who is told what.

use leads_comm_testing::wire::Peer;

use crate::process::Process;

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

#[test]
fn a_name_that_is_taken_or_cannot_be_seen_is_refused() {
    let chat = Process::start("chat", &["--port", "0"]);
    let port = chat.port();
    let first = Peer::connect(port);
    assert!(first.message().starts_with("welcome, guest1."));
    first.write("/name Ada;");
    first.expect("you are Ada now;");
    let second = Peer::connect(port);
    assert!(second.message().starts_with("welcome, guest2."));
    // Taken, also by the guest who comes next.
    let taken = ["Ada", "ada", " Ada ", "guest3", "GUEST77", "guest1"];
    // Invisible, or blank, or upside down: of Unicode's categories Cc, Cf, Zs, Zl, Zp, or shown as nothing.
    let unseen = [
        "\u{200b}",
        "Ada\u{200b}",
        "\u{202e}adA",
        "A\u{ad}da",
        "A\u{2066}da",
        "\u{feff}Ada",
        "A\u{200d}da",
        "Ada\u{e0020}",
        "Ada\u{a0}",
        "A\u{3000}da",
        "A\u{2028}da",
        "A\u{7}da",
        "A\tda",
        "A\u{85}da",
        "\u{3164}",
        "A\u{2800}da",
        "Ada\u{fe0f}",
        "A\u{34f}da",
        "Ada\u{180b}",
        "Ada\u{e0100}",
        "A\u{115f}da",
        "Ada\u{ffa0}",
        "Ada\u{17b4}",
        "A  da",
    ];
    for name in taken.into_iter().chain(unseen) {
        second.write(format!("/name {name};"));
        let answer = second.message();
        assert!(answer.starts_with("a name has 1 to 24 characters"), "{name:?}: {answer}");
    }
    for name in ["Zoë", "Zoe\u{308}", "Ada Lovelace", "李", "कि", "O'Neil\\\""] {
        second.write(format!("/name {name};"));
        assert_eq!(second.message(), format!("you are {name} now"));
    }
    // Its own, written in another way.
    second.write("/name grace;/name Grace;/who;");
    for expected in ["you are grace now", "you are Grace now"] {
        assert_eq!(second.message(), expected);
    }
}

#[test]
fn what_is_said_turns_no_terminal_around() {
    let chat = Process::start("chat", &["--port", "0"]);
    let port = chat.port();
    let (speaker, listener) = (Peer::connect(port), Peer::connect(port));
    assert!(speaker.message().starts_with("welcome"));
    let welcome = listener.message();
    assert!(welcome.starts_with("welcome"), "{welcome}");
    // What Persian and emoji are made of stays.
    speaker.write("a\u{202e}b\u{2028}c\u{feff}d\u{200d}e\u{fe0f};");
    while !listener.message().ends_with(": ab cd\u{200d}e\u{fe0f}") {}
}
