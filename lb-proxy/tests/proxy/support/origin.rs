use std::{
    io::{BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use socket2::SockRef;

use super::{Message, PATIENCE};

/// A backend: a thread per connection that does what a function says.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Message>>>,
}

/// One connection, as a backend sees it.
pub(crate) struct Peer {
    /// Which connection this is, from 0.
    pub(crate) number: usize,
    pub(crate) stream: TcpStream,
    input: BufReader<TcpStream>,
    requests: Arc<Mutex<Vec<Message>>>,
    resets: bool,
    listener: Arc<TcpListener>,
}

impl Origin {
    /// Runs `serve` for each connection; the connection ends with it.
    pub(crate) fn new(serve: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let requests = Arc::<Mutex<Vec<Message>>>::default();
        let (serve, counted, seen) = (Arc::new(serve), connections.clone(), requests.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                // An error means that it stopped listening.
                let Ok(stream) = stream else { return };
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                let input = BufReader::new(stream.try_clone().unwrap());
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let (requests, listener) = (seen.clone(), listener.clone());
                let mut peer = Peer { number, stream, input, requests, resets: false, listener };
                let serve = serve.clone();
                thread::spawn(move || {
                    serve(&mut peer);
                    if !peer.resets {
                        let _ = peer.stream.shutdown(Shutdown::Both);
                    }
                });
            }
        });
        Self { address, connections, requests }
    }

    /// Answers every request with the same bytes, and keeps the connection.
    pub(crate) fn answering(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::new(move |peer| {
            while peer.request().is_some() {
                if peer.stream.write_all(answer.as_ref()).is_err() {
                    return;
                }
            }
        })
    }

    /// Answers `ok` to everything.
    pub(crate) fn ok() -> Self {
        Self::answering(OK)
    }

    /// An address where nobody listens.
    pub(crate) fn refusing() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests seen so far, whole ones.
    pub(crate) fn requests(&self) -> Vec<Message> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Message {
        self.requests().pop().expect("a request")
    }
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

impl Peer {
    /// Reads a request with its body; `None` at the end of the connection.
    pub(crate) fn request(&mut self) -> Option<Message> {
        let mut message = self.head()?;
        message.read_body(&mut self.input, false);
        self.requests.lock().unwrap().push(message.clone());
        Some(message)
    }

    /// Reads only a head.
    pub(crate) fn head(&mut self) -> Option<Message> {
        Message::read_head(&mut self.input).ok().flatten()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Has the connection end in a reset.
    pub(crate) fn reset(&mut self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
        self.resets = true;
    }

    /// Has the backend refuse further connections.
    pub(crate) fn stop_listening(&self) {
        SockRef::from(&*self.listener).shutdown(Shutdown::Both).unwrap();
    }

    /// Reads exactly `length` bytes of what comes next.
    pub(crate) fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Sends from another thread, while this one reads.
    pub(crate) fn send_meanwhile(&self, bytes: Vec<u8>) {
        let mut stream = self.stream.try_clone().unwrap();
        thread::spawn(move || stream.write_all(&bytes));
    }

    /// Waits for the proxy to close the connection.
    pub(crate) fn wait_for_end(&mut self) {
        let mut scratch = [0; 1024];
        while matches!(self.input.read(&mut scratch), Ok(1..)) {}
    }
}
