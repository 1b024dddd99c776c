//! A balancer whose log nobody takes: it is there to balance, and goes on.

use std::{
    fs,
    io::{self, PipeReader, PipeWriter, Write as _},
    path::Path,
};

use lb_proxy::demo::{DemoBackend, DemoOptions};
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::Signal,
};

use crate::{
    client::get,
    process::{File, Lb, eventually, file, folder, lb},
};

/// A pipe that takes nothing more, and that nobody reads.
fn full() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("a pipe");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("a pipe");
    for size in [4096, 1] {
        while writer.write(&vec![b'x'; size]).is_ok() {}
    }
    fcntl_setfl(&writer, flags).expect("a pipe");
    (reader, writer)
}

/// A cluster with the nodes of a folder, which are checked often. The file is warned about.
fn following(nodes: &Path) -> File {
    file(&format!(
        "listen = \"127.0.0.1:0\"\n[[route]]\nto = \"c\"\n[cluster.c]\n\
         health = {{ path = \"/\", interval = \"50ms\", timeout = \"1s\", rise = 1, fall = 1 }}\n\
         discover = {{ file = \"{}\" }}\n",
        nodes.display()
    ))
}

fn come(nodes: &Path, backend: &DemoBackend) {
    let address = backend.address();
    let node = format!("{} {}\n", address.ip(), address.port());
    fs::write(nodes.join(backend.name()), node).expect("a node file");
}

fn is_served(lb: &Lb) -> bool {
    get(lb.address(), "/").status == 200
}

/// Has every part that talks say something, and looks whether it still works after.
fn goes_on(stderr: PipeWriter) {
    let [first, second] =
        ["first", "second"].map(|name| DemoOptions::named(name).start().expect("a free port"));
    let nodes = folder();
    let file = following(&nodes);
    let mut lb = Lb::spawn_telling(&mut lb(&["run", "--config", &file]), stderr);
    // Those who follow sources.
    fs::write(nodes.join("junk"), "junk").expect("a node file");
    come(&nodes, &first);
    eventually("a node is used", || is_served(&lb));
    // Those who judge health.
    first.stop();
    eventually("it is down", || get(lb.address(), "/").status == 503);
    come(&nodes, &second);
    eventually("another is used", || is_served(&lb));
    // Those who take signals, and who read the file.
    let good = fs::read_to_string(&*file).expect("a file");
    fs::write(&*file, "listen = [").expect("a file");
    lb.signal(Signal::HUP);
    lb.signal(Signal::USR1);
    fs::write(&*file, good).expect("a file");
    lb.signal(Signal::HUP);
    assert!(is_served(&lb));
    lb.signal(Signal::TERM);
    assert_eq!(lb.wait().code(), Some(0));
}

#[test]
fn a_log_whose_reader_is_gone_stops_nothing() {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    goes_on(writer);
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let (_reader, writer) = full();
    goes_on(writer);
}
