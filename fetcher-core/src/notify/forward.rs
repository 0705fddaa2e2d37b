//! A notifier that is borrowed, boxed or shared is one as well.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Heartbeat, Notification, Notifier, NotifyError, Subscription};

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Notifier + ?Sized> Notifier for $pointer {
            fn name(&self) -> &str {
                (**self).name()
            }

            fn subscription(&self) -> Subscription {
                (**self).subscription()
            }

            fn send(&self, message: &Notification) -> Result<(), NotifyError> {
                (**self).send(message)
            }

            fn send_all(&self, messages: &[Notification], told: &mut dyn FnMut(usize, Result<(), NotifyError>)) {
                (**self).send_all(messages, told);
            }

            fn delivery_timeout(&self) -> Duration {
                (**self).delivery_timeout()
            }

            fn wants_heartbeat(&self) -> bool {
                (**self).wants_heartbeat()
            }

            fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), NotifyError> {
                (**self).heartbeat(heartbeat)
            }
        }
    )*};
}

forward!(&T, Box<T>, Arc<T>);

/// So that what holds a notifier can be shown.
impl fmt::Debug for dyn Notifier + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Notifier").field(&self.name()).finish()
    }
}
