//! Windows: programs in consoles of their own, where Ctrl-C concerns nobody else.
//!
//! Ctrl-C goes to all that share a console, and can be sent only from inside. So there is a process between, which is this
//! same test program once more.
//!
//! ```text
//!   test ── pipes ──▶ keeper, in a new console without a window ── the same pipes ──▶ program
//!     └─── a connection: what the keeper is to do to it ──▶│
//! ```

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::windows::process::CommandExt;
use std::process::{self, Child, ChildStdout, Command};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use send_ctrlc::Interruptible;

use crate::{PATIENCE, accept};

/// What a keeper starts, and where it is told what to do.
const PROGRAM: &str = "LEADS_COMM_TEST_KEPT";
const PORT: &str = "LEADS_COMM_TEST_KEEPER";

/// The last line of a keeper before the program has stdout: the harness of the tests prints something first.
const BEGIN: &[u8] = b"> the program";

/// A new console, and no window.
const CREATE_NO_WINDOW: u32 = 0x0800_0000;

/// The command that runs a program in a console of its own; its caller may still add arguments. `keeper` is the name of
/// a test of this program that calls [`keep`].
pub fn command(keeper: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", keeper, "--nocapture", "--include-ignored", "--test-threads=1", "--"]);
    command.env(PROGRAM, program).creation_flags(CREATE_NO_WINDOW);
    command
}

/// What a test has of a program in a console of its own.
pub struct Console {
    keeper: TcpStream,
    id: u32,
}

impl Console {
    /// Starts what [`command`] has made, and whatever else as it is.
    pub fn spawn(command: &mut Command) -> (Child, Option<Self>) {
        if !command.get_envs().any(|(name, _)| name == PROGRAM) {
            return (command.spawn().unwrap(), None);
        }
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        door.set_nonblocking(true).unwrap();
        let mut child = command.env(PORT, door.local_addr().unwrap().port().to_string()).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let keeper = loop {
            match accept(&door) {
                Ok(keeper) => break keeper,
                Err(error) => assert!(error.kind() == io::ErrorKind::WouldBlock, "{error}"),
            }
            assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "the keeper does not come");
            thread::sleep(Duration::from_millis(1));
        };
        keeper.set_nonblocking(false).unwrap();
        if let Some(stdout) = &mut child.stdout {
            pass_over(stdout);
        }
        let id = line(&keeper).parse().unwrap();
        (child, Some(Self { keeper, id }))
    }

    /// The number of the program.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Ctrl-C, by the name `INT`, or Ctrl-Break, `TERM`; returns when it is sent. Where there is no Ctrl-Break, as in
    /// Wine 8, it is Ctrl-C.
    pub fn signal(&self, name: &str) {
        writeln!(&self.keeper, "{name}").unwrap();
        assert_eq!(line(&self.keeper), "sent");
    }

    /// Ends the program as a crash does, and the keeper with it.
    pub fn kill(&self) {
        // Both have ended already, or do when this connection does.
        let _ = writeln!(&self.keeper, "KILL");
    }
}

/// Reads what is before the program's own.
fn pass_over(stdout: &mut ChildStdout) {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line != BEGIN {
        if byte == *b"\n" {
            line.clear();
        }
        stdout.read_exact(&mut byte).expect("the keeper has not begun");
        if !matches!(byte[0], b'\r' | b'\n') {
            line.push(byte[0]);
        }
    }
    // The end of that line.
    while byte != *b"\n" {
        stdout.read_exact(&mut byte).unwrap();
    }
}

/// What the keeper says, which is not more than this.
fn line(from: &TcpStream) -> String {
    let mut line = String::new();
    BufReader::new(from).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Keeps a program, if this process is for that: starts it, does to it what is said, and ends when it does, with its exit
/// code.
pub fn keep() {
    let Some(program) = env::var_os(PROGRAM) else { return };
    let port = env::var(PORT).unwrap().parse::<u16>().unwrap();
    let mut test = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    // The keeper outlives what it sends.
    ctrlc::set_handler(|| {}).unwrap();
    let mut stdout = io::stdout().lock();
    stdout.write_all(b"\n").and_then(|()| stdout.write_all(BEGIN)).and_then(|()| stdout.write_all(b"\n")).unwrap();
    stdout.flush().unwrap();
    let arguments = env::args_os().skip_while(|argument| argument != "--").skip(1);
    let kept = Command::new(program).args(arguments).env_remove(PROGRAM).env_remove(PORT).spawn().unwrap();
    writeln!(test, "{}", kept.id()).unwrap();
    let kept = Arc::new(Mutex::new(kept));
    {
        let kept = Arc::clone(&kept);
        thread::spawn(move || obey(test, &kept));
    }
    loop {
        let ended = kept.lock().unwrap().try_wait().unwrap();
        if let Some(status) = ended {
            process::exit(status.code().unwrap());
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn obey(test: TcpStream, kept: &Mutex<Child>) {
    let mut answers = test.try_clone().unwrap();
    for line in BufReader::new(test).lines().map_while(Result::ok) {
        let sent = match line.as_str() {
            "INT" => Everybody.interrupt(),
            "TERM" => Everybody.terminate().or_else(|_| Everybody.interrupt()),
            _ => break,
        };
        let _ = writeln!(answers, "{}", sent.map_or_else(|error| error.to_string(), |()| "sent".into()));
    }
    // Told to, or the test has gone.
    let _ = kept.lock().unwrap().kill();
}

/// All that are in this console.
struct Everybody;

impl Interruptible for Everybody {
    fn pid(&mut self) -> io::Result<Option<u32>> {
        Ok(Some(0))
    }
}
