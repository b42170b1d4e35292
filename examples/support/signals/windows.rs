//! Windows: Ctrl-C, Ctrl-Break, and a console that is closed.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

/// Calls this for each of them, on one thread. A process whose console is closed lives for some seconds more, as long as
/// nobody returns from handling that: `tokio` does not, and nothing else of it is used.
pub(crate) fn on_signals(mut call: impl FnMut() + Send + 'static) -> io::Result<()> {
    struct Waiting(Thread);

    impl Wake for Waiting {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let (mut c, mut pause, mut close, mut shutdown) = (ctrl_c()?, ctrl_break()?, ctrl_close()?, ctrl_shutdown()?);
    let handle = move || {
        let waker = Waker::from(Arc::new(Waiting(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            let all = [
                c.poll_recv(&mut context),
                pause.poll_recv(&mut context),
                close.poll_recv(&mut context),
                shutdown.poll_recv(&mut context),
            ];
            match all.iter().any(Poll::is_ready) {
                true => call(),
                false => thread::park(),
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(handle)?;
    Ok(())
}
