use super::*;

const EPOCH: u64 = 0xe;

fn at(number: u64) -> Position {
    Position::new(EPOCH, number)
}

fn message(number: u64) -> Vec<u8> {
    wire::numbered(number, format!("payload {number}").as_bytes())
}

/// What the program is given of these messages.
fn given(progress: &mut Progress, messages: &[Vec<u8>]) -> Vec<String> {
    let mut given = Vec::new();
    for message in messages {
        loop {
            match progress.receive(message) {
                Received::Nothing => {}
                Received::Gap { gap, again } => {
                    given.push(gap.to_string());
                    if again {
                        continue;
                    }
                }
                Received::Message(position, payload) => {
                    assert_eq!(payload, format!("payload {}", position.number).as_bytes());
                    progress.done(position);
                    given.push(position.number.to_string());
                }
                Received::Unnumbered(message) => given.push(message.escape_ascii().to_string()),
            }
            break;
        }
    }
    given
}

#[test]
fn what_comes_before_the_answer_comes_again_with_its_number() {
    let mut progress = Progress::new(None);
    assert_eq!(progress.begin(), "resume 0000000000000000:0");
    let before = [b"plain".to_vec(), b"7:plain".to_vec()];
    assert!(given(&mut progress, &before).is_empty());
    assert!(!progress.is_resumed());
    let behind = [Answer::Resumed(at(7)).encode().into_bytes(), message(7), b"hello".to_vec(), message(8)];
    assert_eq!(given(&mut progress, &behind), ["7", "hello", "8"]);
    assert!(progress.is_resumed());
    assert_eq!(progress.begin(), "resume 000000000000000e:8");
    assert!(!progress.is_resumed());
}

#[test]
fn a_message_that_is_there_is_not_given_again() {
    let mut progress = Progress::new(Some(at(3)));
    let resumed = Answer::Resumed(at(4)).encode().into_bytes();
    let messages = [resumed, message(3), message(4), message(4), message(3), message(5)];
    assert_eq!(given(&mut progress, &messages), ["4", "5"]);
}

/// Whoever says so, and also where nobody does.
#[test]
fn no_gap_is_silent() {
    let start = |answer: Answer| (Progress::new(Some(at(3))), answer.encode().into_bytes());
    let (mut progress, answer) = start(Answer::Gap(at(9)));
    let missing = "5 messages are missing before 000000000000000e:9";
    assert_eq!(given(&mut progress, &[answer, message(9)]), [missing, "9"]);
    let (mut progress, answer) = start(Answer::Resumed(at(9)));
    assert_eq!(given(&mut progress, &[answer, message(9)]), [missing, "9"]);
    let (mut progress, answer) = start(Answer::Resumed(at(4)));
    assert_eq!(
        given(&mut progress, &[answer, message(4), message(6)]),
        ["4", "1 message is missing before 000000000000000e:6", "6"]
    );
    let (mut progress, answer) = start(Answer::Resumed(at(4)));
    let late = Answer::Gap(at(8)).encode().into_bytes();
    assert_eq!(
        given(&mut progress, &[answer, message(4), late, message(8)]),
        ["4", "3 messages are missing before 000000000000000e:8", "8"]
    );
    // Of a publisher that has begun anew nobody knows how many.
    let (mut progress, answer) = start(Answer::Gap(Position::new(0xf, 1)));
    let unknown = "messages may be missing between 000000000000000e:3 and 000000000000000f:1";
    assert_eq!(given(&mut progress, &[answer, message(1)]), [unknown, "1"]);
}

/// Those of an earlier start of the publisher, then those of this one.
#[test]
fn each_message_has_the_epoch_in_which_it_was_published() {
    let mut progress = Progress::new(Some(at(3)));
    let next = Position::new(0xf, 6);
    let resumed = |next| Answer::Resumed(next).encode().into_bytes();
    assert_eq!(
        given(&mut progress, &[resumed(at(4)), message(4), message(5), resumed(next), message(6)]),
        ["4", "5", "6"]
    );
    assert_eq!(progress.last(), Some(next));
}

/// A message that the program has not finished with is asked for again.
#[test]
fn what_was_not_done_with_is_asked_for_again() {
    let mut progress = Progress::new(Some(at(3)));
    progress.begin();
    progress.receive(Answer::Resumed(at(4)).encode().as_bytes());
    assert!(matches!(progress.receive(&message(4)), Received::Message(..)));
    assert_eq!(progress.begin(), "resume 000000000000000e:3");
}
