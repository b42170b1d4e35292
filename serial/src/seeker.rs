use super::identity::Identity;
use super::settings::Settings;
use super::stopping::Stopping;

/// One connector, as the ports know it.
#[derive(Default)]
pub(super) struct Seeker {
    pub(super) settings: Settings,
    pub(super) identity: Option<Identity>,
    pub(super) stopping: Stopping,
}

impl Seeker {
    pub(super) fn recognises(&self, message: &[u8]) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.recognises(message))
    }

    /// Whether what the other one asks a device, and how, would do here.
    pub(super) fn asks_like(&self, other: &Self) -> bool {
        let same_question = match (&self.identity, &other.identity) {
            (Some(own), Some(others)) => own.asks_like(others),
            _ => false,
        };
        same_question && self.settings == other.settings
    }
}
