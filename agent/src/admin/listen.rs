//! Where the admin address listens: a TCP port, a TCP port with TLS, or a Unix socket that only its user may open.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::patient::{self, Patient};

/// Handshakes that run at one time; others wait in the kernel.
const MOST_HANDSHAKES: usize = 64;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long to wait after a connection could not be taken.
const BREATHE: Duration = Duration::from_millis(100);
/// Of a Unix socket: only its owner connects.
const OWNER_ONLY: u32 = 0o600;

/// A connection of any kind.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
type Io = Box<dyn Stream>;

/// A bound admin address.
#[derive(Debug)]
pub struct AdminListener {
    kind: Kind,
    address: String,
    /// Room for connections.
    places: Arc<Semaphore>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Tls(mpsc::Receiver<tokio_rustls::server::TlsStream<TcpStream>>),
    Unix {
        listener: UnixListener,
        _file: Socket,
    },
}

/// The socket's file, removed when the listener is gone.
#[derive(Debug)]
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        // It may be gone, or its directory with it.
        let _ = fs::remove_file(&self.0);
    }
}

impl AdminListener {
    /// Takes connections as they come.
    ///
    /// # Errors
    /// If the socket has no address.
    pub fn tcp(listener: TcpListener) -> io::Result<AdminListener> {
        let address = listener.local_addr()?.to_string();
        Ok(AdminListener::of(Kind::Tcp(listener), address))
    }

    /// Takes connections over TLS. Slow handshakes hold up no other.
    ///
    /// # Errors
    /// If the socket has no address.
    pub fn tls(listener: TcpListener, acceptor: TlsAcceptor) -> io::Result<AdminListener> {
        let address = format!("https://{}", listener.local_addr()?);
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(shake_hands(listener, acceptor, sender));
        Ok(AdminListener::of(Kind::Tls(receiver), address))
    }

    /// Takes connections of this user's processes at that path. A socket that nobody listens at any more is replaced.
    ///
    /// # Errors
    /// If something listens there, or the file cannot be made.
    pub async fn unix(path: &Path) -> io::Result<AdminListener> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(found) if !found.file_type().is_socket() => {
                return Err(io::Error::new(
                    ErrorKind::AlreadyExists,
                    "a file is there that is no socket",
                ));
            }
            Ok(_) => match UnixStream::connect(path).await {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    return Err(io::Error::new(
                        ErrorKind::AddrInUse,
                        "an agent listens there",
                    ));
                }
            },
        }
        // Made where nobody else looks in, and put in place when its mode is right.
        let directory = path.parent().unwrap_or(Path::new("."));
        let own = directory.join(format!(".dfaas-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&own)?;
        let made = own.join("s");
        let listener = UnixListener::bind(&made).and_then(|listener| {
            fs::set_permissions(&made, Permissions::from_mode(OWNER_ONLY))?;
            fs::rename(&made, path)?;
            Ok(listener)
        });
        if listener.is_err() {
            let _ = fs::remove_file(&made);
        }
        fs::remove_dir(&own)?;
        let kind = Kind::Unix {
            listener: listener?,
            _file: Socket(path.to_owned()),
        };
        let address = format!("unix:{}", path.display());
        Ok(AdminListener::of(kind, address))
    }

    fn of(kind: Kind, address: String) -> AdminListener {
        AdminListener {
            kind,
            address,
            places: Arc::new(Semaphore::new(patient::MOST)),
        }
    }

    /// As `--admin` takes it.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl axum::serve::Listener for AdminListener {
    type Io = Io;
    type Addr = ();

    async fn accept(&mut self) -> (Io, ()) {
        let place = Arc::clone(&self.places).acquire_owned().await;
        // Nobody closes it.
        let Ok(place) = place else {
            return std::future::pending().await;
        };
        loop {
            let taken: io::Result<Io> = match &mut self.kind {
                Kind::Tcp(listener) => TcpListener::accept(listener)
                    .await
                    .map(|(stream, _)| Box::new(stream) as Io),
                Kind::Unix { listener, .. } => UnixListener::accept(listener)
                    .await
                    .map(|(stream, _)| Box::new(stream) as Io),
                Kind::Tls(ready) => match ready.recv().await {
                    Some(stream) => Ok(Box::new(stream)),
                    // What shakes hands ends only with the runtime.
                    None => std::future::pending().await,
                },
            };
            match taken {
                Ok(stream) => {
                    let patient = Patient::new(stream, place, patient::QUIET);
                    return (Box::new(patient), ());
                }
                Err(error) => breathe(&error).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

async fn shake_hands(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<tokio_rustls::server::TlsStream<TcpStream>>,
) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            taken = listener.accept(), if running.len() < MOST_HANDSHAKES => match taken {
                Ok((stream, _)) => {
                    let (acceptor, ready) = (acceptor.clone(), ready.clone());
                    running.spawn(async move {
                        if let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await {
                            // Nobody is left to serve it when the agent stops.
                            let _ = ready.send(stream).await;
                        }
                    });
                }
                Err(error) => breathe(&error).await,
            },
            Some(_) = running.join_next() => {}
            () = ready.closed() => return,
        }
    }
}

async fn breathe(error: &io::Error) {
    tracing::debug!(%error, "a connection to the admin address could not be taken");
    tokio::time::sleep(BREATHE).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_its_owners_alone_and_goes_with_its_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let listener = AdminListener::unix(&path).await.unwrap();
        assert_eq!(listener.address(), format!("unix:{}", path.display()));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing else is left"
        );
        let error = AdminListener::unix(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_was_left_behind_is_replaced_and_another_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a process that was killed leaves it");
        AdminListener::unix(&path).await.unwrap();
        let file = dir.path().join("notes");
        fs::write(&file, "mine").unwrap();
        assert!(AdminListener::unix(&file).await.is_err());
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }
}
