//! The check of connectors: they can be stopped.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::Suite;
use super::context;
use super::failure::{Failure, ensure};
use crate::transport::Connector;

/// For how long connecting goes on before it is stopped; a connector that is stopped before it begins fails as well.
const BEGINNING: [Duration; 3] = [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(50)];

pub(super) fn run(
    suite: &Suite,
    make: impl Fn() -> (Box<dyn Connector>, String) + Clone + Send + 'static,
) -> Result<(), Failure> {
    context::run("stop", suite.time, move |cx| {
        for time in BEGINNING {
            let make = make.clone();
            let (connector, address) = cx.call("making a connector", move |_| Ok(make()))?;
            let connector: Arc<dyn Connector> = Arc::from(connector);
            let connect = |doing: &str| {
                let (connector, address) = (Arc::clone(&connector), address.clone());
                cx.start(doing, move |_| Ok(connector.connect(&address).is_ok()))
            };
            let connecting = connect("connecting, which is stopped")?;
            thread::sleep(time);
            for _ in 0..2 {
                let connector = Arc::clone(&connector);
                cx.call("stop", move |_| {
                    connector.stop();
                    Ok(())
                })?;
            }
            ensure(!connecting.finish()?, "connect succeeds although it was stopped, where nobody was to answer")?;
            ensure(!connect("connecting once stopped")?.finish()?, "connect succeeds once stopped")?;
        }
        Ok(())
    })
}
