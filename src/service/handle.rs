//! The handles by which programs hold a service: what `Server` and `Client` have alike.

/// Gives a handle with a `core` what every service has, as methods of its own and as a [`Service`](crate::Service).
macro_rules! impl_service {
    ($handle:ident) => {
        impl $handle {
            /// See [`Service::id`].
            pub fn id(&self) -> $crate::ServiceId {
                self.core().id()
            }

            /// See [`Service::port`].
            pub fn port(&self) -> u16 {
                self.core().port()
            }

            /// See [`Service::local_addr`].
            pub fn local_addr(&self) -> Option<std::net::SocketAddr> {
                self.core().local_addr()
            }

            /// See [`Service::num_connections`].
            pub fn num_connections(&self) -> usize {
                self.core().num_connections()
            }

            /// See [`Service::connections`].
            pub fn connections(&self) -> Vec<Connection> {
                self.core().connections()
            }

            /// Adds a callback: those set before are called first, then this one.
            ///
            /// A connection keeps the callbacks that there were when it was opened (accepted by a server, connected by
            /// a client), so that those which are told of its beginning are told of its end. A client's callbacks are
            /// therefore set before it is started; one that [reconnects](crate::ClientBuilder::reconnect) takes what is
            /// set later for its next connection, and for what happens before that.
            pub fn set_callback(&self, callback: impl Callback) {
                self.core().set_callback(callback);
            }

            /// Replaces all callbacks set before; connections keep theirs, as with
            /// [`set_callback`](Self::set_callback).
            pub fn replace_callback(&self, callback: impl Callback) {
                self.core().replace_callback($crate::service::callback::Chain::of(callback));
            }

            /// See [`Service::flush`].
            ///
            /// # Errors
            ///
            /// [`Error::NotFlushed`] when the time was over first.
            pub fn flush(&self, time: std::time::Duration) -> Result<(), Error> {
                self.core().flush(time)
            }

            /// See [`Service::stats`].
            pub fn stats(&self) -> $crate::stats::ServiceStats {
                self.core().stats()
            }

            /// See [`Service::departures`].
            pub fn departures(&self) -> Vec<$crate::Departure> {
                self.core().departures()
            }

            /// See [`Service::close`].
            pub fn close(&self) {
                self.core().close();
            }

            /// Blocks until the service has ended; returns at once when it has not been started, or on a thread on
            /// which [`close`](Service::close) does not block.
            pub fn wait(&self) {
                self.core().wait(None);
            }

            /// Like [`wait`](Self::wait), but no longer than `time`; false when the service has not ended by then.
            pub fn wait_timeout(&self, time: std::time::Duration) -> bool {
                self.core().wait(std::time::Instant::now().checked_add(time))
            }
        }

        impl $crate::service::sealed::Sealed for $handle {
            fn weak_core(&self) -> $crate::service::sealed::WeakCore {
                $crate::service::sealed::WeakCore(std::sync::Arc::downgrade(self.core()))
            }
        }

        impl Service for $handle {
            fn id(&self) -> $crate::ServiceId {
                self.core().id()
            }

            fn port(&self) -> u16 {
                self.core().port()
            }

            fn local_addr(&self) -> Option<std::net::SocketAddr> {
                self.core().local_addr()
            }

            fn num_connections(&self) -> usize {
                self.core().num_connections()
            }

            fn connections(&self) -> Vec<Connection> {
                self.core().connections()
            }

            fn connection(&self, id: $crate::ConnectionId) -> Option<Connection> {
                self.core().connection(id)
            }

            fn check_message(&self, message: &[u8]) -> Result<(), Error> {
                self.core().check_message(message)
            }

            fn broadcast(&self, message: &[u8]) -> Result<usize, Error> {
                self.core().broadcast(message)
            }

            fn queue_broadcast(&self, message: &[u8]) -> Result<usize, Error> {
                self.core().queue_broadcast(message)
            }

            fn broadcast_where(
                &self,
                message: &[u8],
                wanted: &mut dyn FnMut(&Connection) -> bool,
            ) -> Result<usize, Error> {
                self.core().broadcast_where(message, wanted)
            }

            fn flush(&self, time: std::time::Duration) -> Result<(), Error> {
                self.core().flush(time)
            }

            fn stats(&self) -> $crate::stats::ServiceStats {
                self.core().stats()
            }

            fn departures(&self) -> Vec<$crate::Departure> {
                self.core().departures()
            }

            fn close(&self) {
                self.core().close();
            }
        }
    };
}

pub(crate) use impl_service;
