//! The check of connectors: they can be stopped.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use leads_comm::transport::Connector;

use crate::failure::{Failure, ensure};
use crate::run;
use crate::suite::Suite;

/// For how long connecting goes on before it is stopped; a connector that is stopped before it begins fails as well.
const BEGINNING: [Duration; 3] = [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(50)];

pub(crate) fn check(
    suite: &Suite,
    make: impl Fn() -> (Box<dyn Connector>, String) + Clone + Send + 'static,
) -> Result<(), Failure> {
    run::check("stop", suite.time, move |run| {
        for time in BEGINNING {
            let make = make.clone();
            let (connector, address) = run.call("making a connector", move |_| Ok(make()))?;
            let connector: Arc<dyn Connector> = Arc::from(connector);
            let connect = |doing: &str| {
                let (connector, address) = (Arc::clone(&connector), address.clone());
                run.start(doing, move |_| Ok(connector.connect(&address).is_ok()))
            };
            let connecting = connect("connecting, which is stopped")?;
            thread::sleep(time);
            for _ in 0..2 {
                let connector = Arc::clone(&connector);
                run.call("stop", move |_| {
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
