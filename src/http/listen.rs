//! Accepts connections, with limits of their number and of their silence.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Limits of the connections of a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// Maximum number of open connections; more wait in the backlog of the system. One takes about 20 KiB.
    pub(crate) connections: usize,
    /// Maximum time without a transferred byte, after which a connection is closed.
    pub(crate) silence: Duration,
}

impl ConnectionLimits {
    /// The timeout is longer than the longest query, so that it closes only idle connections and connections that stall
    /// while they send their headers.
    pub(super) const SERVER: Self = Self { connections: 1_024, silence: Duration::from_secs(75) };
}

/// A listener with a limit of connections.
#[derive(Debug)]
pub(super) struct BoundedListener {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    silence_limit: Duration,
}

impl BoundedListener {
    /// Accepts the connections of `listener`.
    pub(super) fn new(listener: TcpListener, limits: ConnectionLimits) -> Self {
        let permits = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        Self { listener, permits, silence_limit: limits.silence }
    }
}

impl Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        // axum logs errors of `accept` and retries.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            // Small responses may then wait for the acknowledgement of earlier ones (Nagle).
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let silence_limit = self.silence_limit;
        let silence = Box::pin(tokio::time::sleep(silence_limit));
        (Connection { stream, silence, silence_limit, _permit: permit }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that times out when it is silent for too long.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    silence_limit: Duration,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Restarts the timeout if bytes have moved.
    fn note<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        if polled.is_ready() {
            self.silence.as_mut().reset(Instant::now() + self.silence_limit);
        }
        polled
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Poll::Ready(result) = this.note(polled) {
            return Poll::Ready(result);
        }
        ready!(this.silence.as_mut().poll(context));
        Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.note(polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.note(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(test);
    }

    #[test]
    fn a_connection_passes_bytes_and_gives_its_place_back() {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut listener = BoundedListener::new(listener, ConnectionLimits::SERVER);
            let mut client = TcpStream::connect(address).await.unwrap();
            let (mut server, _) = listener.accept().await;
            assert_eq!(
                listener.permits.available_permits(),
                ConnectionLimits::SERVER.connections - 1
            );
            client.write_all(b"ping").await.unwrap();
            let mut bytes = [0; 4];
            server.read_exact(&mut bytes).await.unwrap();
            server.write_all(b"pong").await.unwrap();
            client.read_exact(&mut bytes).await.unwrap();
            assert_eq!(&bytes, b"pong");
            drop(server);
            assert_eq!(listener.permits.available_permits(), ConnectionLimits::SERVER.connections);
        });
    }

    #[test]
    fn silence_ends_a_connection() {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut listener = BoundedListener::new(listener, ConnectionLimits::SERVER);
            let _client = TcpStream::connect(address).await.unwrap();
            let (mut server, _) = listener.accept().await;
            server.silence.as_mut().reset(Instant::now());
            let error = server.read_u8().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }
}
