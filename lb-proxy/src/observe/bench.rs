//! What the benches measure: a request of a browser that met a backend that refused,
//! and then one that answered.

use std::rc::Rc;

use http::{HeaderValue, Request};
use lb_core::{cluster::Standing, strategy::Reason};

use super::{
    LogFormat,
    record::{Asked, Record},
    render::{Renderer, When},
};
use crate::{
    http::{
        attempts::{Attempt, Attempts},
        binder::Stickiness,
    },
    runtime::clock::Clock,
};

/// Lines of one format.
#[derive(Debug)]
pub struct Lines {
    renderer: Renderer,
    clock: Clock,
    request: Request<()>,
    client: HeaderValue,
    listener: Rc<str>,
    cluster: Rc<str>,
    backends: [Rc<str>; 2],
    out: Vec<u8>,
}

impl Lines {
    /// Of this format.
    #[must_use]
    pub fn new(format: &LogFormat) -> Self {
        let request = Request::get("/api/students/17?page=2")
            .header("host", "school.example.org")
            .header("referer", "https://school.example.org/students/")
            .header(
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            )
            .body(());
        Self {
            renderer: Renderer::new(format, false),
            clock: Clock::new(),
            request: request.expect("a request without mistakes"),
            client: HeaderValue::from_static("192.0.2.117"),
            listener: "0.0.0.0:80".into(),
            cluster: "dynamic".into(),
            backends: ["10.0.0.3:3000".into(), "10.0.0.1:3000".into()],
            out: Vec::with_capacity(16 * 1024),
        }
    }

    /// All that a logged request costs beyond one that is not: the record, two readings
    /// of the clock, the line. Returns the length of the line.
    pub fn write(&mut self) -> usize {
        let started = self.clock.now();
        let mut record =
            Box::new(Record::new(started, self.client.clone(), Rc::clone(&self.listener)));
        record.request = Some(Asked::new(&self.request, self.renderer.wanted()));
        record.cluster = Some(Rc::clone(&self.cluster));
        record.status = 200;
        record.bytes_out = 4711;
        let took = self.clock.now().since(started);
        let attempt = |address: &Rc<str>, status, error| Attempt {
            backend: Rc::clone(address),
            address: Rc::clone(address),
            reason: Reason::Idle,
            standing: Standing::In,
            started,
            connect: Some(took),
            first_byte: Some(took),
            total: Some(took),
            status,
            error,
            replayed: false,
        };
        let attempts = vec![
            attempt(&self.backends[0], None, Some("backend-refused")),
            attempt(&self.backends[1], Some(200), None),
        ];
        record.attempts = Some(Attempts::of(attempts, Stickiness::None));
        self.out.clear();
        let when = When { started: self.clock.wall(started), took };
        self.renderer.line(&mut self.out, &record, when);
        self.out.len()
    }
}
