use crate::identity::Identity;
use crate::settings::Settings;
use crate::stopping::Stopping;

/// One connector, as the ports know it.
#[derive(Default)]
pub(crate) struct Seeker {
    pub(crate) settings: Settings,
    pub(crate) identity: Option<Identity>,
    pub(crate) stopping: Stopping,
}

impl Seeker {
    pub(crate) fn recognises(&self, message: &[u8]) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.recognises(message))
    }

    /// Whether what the other one asks a device, and how, would do here.
    pub(crate) fn asks_like(&self, other: &Self) -> bool {
        let same_question = match (&self.identity, &other.identity) {
            (Some(own), Some(others)) => own.asks_like(others),
            _ => false,
        };
        same_question && self.settings == other.settings
    }
}
