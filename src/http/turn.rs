//! Turns: how many of one kind of work run at once, and how long the others wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{Kind, Problem};
use crate::error::Error;

/// How long a request waits for its turn before it is answered with 503.
const TURN_WAIT: Duration = Duration::from_secs(2);

/// Waits for a turn, but not for long; `what` there is too much of, in words.
///
/// # Errors
/// 503 when too many wait.
pub(crate) async fn turn(
    turns: &Arc<Semaphore>,
    what: &str,
) -> Result<OwnedSemaphorePermit, Problem> {
    let turn = Arc::clone(turns).acquire_owned();
    match tokio::time::timeout(TURN_WAIT, turn).await {
        Ok(Ok(turn)) => Ok(turn),
        Ok(Err(_)) => Err(Error::Closed.into()),
        Err(_) => {
            let detail = format!("too many {what} at once; send this one again in a second");
            Err(Problem::new(Kind::Overloaded, detail).retry_after(1))
        }
    }
}
