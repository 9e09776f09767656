//! The one connection that hears what other processes committed and tells them what this one did.
//! It is made again, with growing pauses, for as long as the backend lives.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use crate::bell::{Bell, News};
use crate::error::{Done, Fault};
use crate::pool::{Dialler, Driver};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Between two notifications that only say "changed".
const UNHURRIED: Duration = Duration::from_millis(10);

/// Listens and notifies until it is aborted.
pub(crate) async fn listen(dialler: Dialler, channel: String, bell: Arc<Bell>) {
    let mut pause = FIRST_PAUSE;
    loop {
        match session(&dialler, &channel, &bell, &mut pause).await {
            Ok(()) => debug!("the listening connection was closed; connecting again"),
            Err(Fault::Sql(error)) => {
                warn!(%error, "no notifications from PostgreSQL; polling until it is back");
            }
            Err(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn session(
    dialler: &Dialler,
    channel: &str,
    bell: &Arc<Bell>,
    pause: &mut Duration,
) -> Done<()> {
    let (client, driver) = dialler.dial().await?;
    let own = Arc::new(std::sync::atomic::AtomicI32::new(0));
    let ears = hear(driver, Arc::clone(bell), Arc::clone(&own));
    let mut ears = AbortOnDropHandle::new(tokio::spawn(ears));
    client.batch_execute(&dialler.session).await?;
    client.batch_execute("SET synchronous_commit = off").await?;
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    own.store(pid, std::sync::atomic::Ordering::Relaxed);
    client.batch_execute(&format!("LISTEN \"{channel}\"")).await?;
    *pause = FIRST_PAUSE;
    bell.ring(News::Claimable); // whatever was missed until now
    tokio::select! {
        _ended = &mut ears => Ok(()),
        failed = tell(&client, channel, bell) => failed,
    }
}

/// Drives the connection and rings for what other processes tell.
async fn hear(mut driver: Driver, bell: Arc<Bell>, own: Arc<std::sync::atomic::AtomicI32>) {
    let mut messages = stream::poll_fn(move |cx| driver.poll_message(cx));
    while let Some(Ok(message)) = messages.next().await {
        if let AsyncMessage::Notification(note) = message
            && note.process_id() != own.load(std::sync::atomic::Ordering::Relaxed)
        {
            bell.ring(if note.payload() == "c" { News::Changed } else { News::Claimable });
        }
    }
}

async fn tell(client: &Client, channel: &str, bell: &Bell) -> Done<()> {
    let notify = client.prepare("SELECT pg_notify($1, $2)").await?;
    loop {
        let news = bell.news().await;
        let payload = match news {
            News::Claimable => "w",
            News::Changed => "c",
        };
        client.query_one(&notify, &[&channel, &payload]).await?;
        if news == News::Changed {
            let _hurried = tokio::time::timeout(UNHURRIED, bell.urgent()).await;
        }
    }
}
