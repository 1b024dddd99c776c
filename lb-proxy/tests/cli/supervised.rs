//! What `lb run` and `lb agent` tell their own supervisors: systemd's socket, and the
//! file descriptor of s6.

use std::{
    fs,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process::Command,
};

use rustix::process::Signal;

use crate::{
    announce::KEY,
    process::{Lb, PATIENCE, eventually, file, finish, folder, lb, text},
};

const CONFIG: &str = "listen = \"127.0.0.1:0\"\nto = [\"127.0.0.1:1\"]\n";

/// The end where a supervisor listens.
struct Supervisor(UnixDatagram);

impl Supervisor {
    fn new(address: &SocketAddr) -> Self {
        let socket = UnixDatagram::bind_addr(address).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self(socket)
    }

    /// The next message that is not a sign of life.
    fn hear(&self) -> String {
        loop {
            let message = self.hear_any();
            if message != "WATCHDOG=1" {
                return message;
            }
        }
    }

    fn hear_any(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).expect("a message in time");
        text(&bytes[..length])
    }
}

#[test]
fn a_supervisor_hears_when_it_is_ready_reloads_and_stops() {
    let folder = folder();
    let path = folder.join("notify");
    let in_files = SocketAddr::from_pathname(&path).expect("a short path");
    let name = format!("lb-test-{}", std::process::id());
    let nowhere = SocketAddr::from_abstract_name(&name).expect("a short name");
    let names = [path.to_str().expect("a printable path").to_owned(), format!("@{name}")];
    for (address, name) in [in_files, nowhere].iter().zip(names) {
        let supervisor = Supervisor::new(address);
        let file = file(CONFIG);
        let mut lb = Lb::spawn(lb(&["run", "--config", &file]).env("NOTIFY_SOCKET", name));
        let ready = supervisor.hear();
        let status = format!("READY=1\nSTATUS=serving on {}; configuration 1", lb.address());
        assert_eq!(ready, status);
        lb.signal(Signal::HUP);
        let reloading = supervisor.hear();
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a time");
        assert!(micros.parse::<u64>().is_ok_and(|micros| micros > 0), "{reloading}");
        assert!(supervisor.hear().starts_with("READY=1\nSTATUS=serving on "));
        // What cannot be served ends the reload too.
        fs::write(&*file, "nonsense").expect("the file");
        lb.signal(Signal::HUP);
        assert!(supervisor.hear().starts_with("RELOADING=1\n"));
        assert!(supervisor.hear().starts_with("READY=1\n"));
        lb.signal(Signal::TERM);
        assert!(supervisor.hear().starts_with("STOPPING=1\n"));
        assert_eq!(lb.wait().code(), Some(0));
    }
}

#[test]
fn a_watchdog_hears_of_it_twice_in_its_time_unless_it_is_that_of_another_process() {
    let folder = folder();
    let path = folder.join("notify");
    let address = SocketAddr::from_pathname(&path).expect("a short path");
    let supervisor = Supervisor::new(&address);
    let file = file(CONFIG);
    let mut command = lb(&["run", "--config", &file]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000");
    let lb = Lb::spawn(&mut command);
    assert!(supervisor.hear_any().starts_with("READY=1\n"));
    for _ in 0..5 {
        assert_eq!(supervisor.hear_any(), "WATCHDOG=1");
    }
    drop(lb);
    while supervisor.0.set_nonblocking(true).is_ok() && supervisor.0.recv(&mut [0; 9]).is_ok() {}
    supervisor.0.set_nonblocking(false).expect("a socket");
    let mut lb = Lb::spawn(command.env("WATCHDOG_PID", "1"));
    assert!(supervisor.hear_any().starts_with("READY=1\n"));
    lb.signal(Signal::HUP);
    assert!(supervisor.hear_any().starts_with("RELOADING=1\n"));
    assert!(supervisor.hear_any().starts_with("READY=1\n"));
    lb.signal(Signal::TERM);
    assert!(supervisor.hear_any().starts_with("STOPPING=1\n"));
    assert_eq!(lb.wait().code(), Some(0));
}

#[test]
fn a_line_on_the_notification_descriptor_says_that_it_is_ready() {
    let folder = folder();
    let file = file(CONFIG);
    let (told, binary) = (folder.join("told"), env!("CARGO_BIN_EXE_lb"));
    let script =
        format!("exec {binary} run --config {} --notification-fd 5 5>{}", &*file, told.display());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script]).env("LB_ADMIN", "off").env("LB_STATE", "off");
    let mut lb = Lb::spawn(&mut command);
    eventually("it is told", || fs::read(&told).is_ok_and(|told| told == b"\n"));
    lb.signal(Signal::HUP);
    lb.signal(Signal::TERM);
    assert_eq!(lb.wait().code(), Some(0));
    assert_eq!(fs::read(&told).expect("the file"), b"\n");
}

#[test]
fn a_descriptor_that_is_not_open_is_told_of_before_anything_starts() {
    let file = file(CONFIG);
    let output = finish(&mut lb(&["run", "--config", &file, "--notification-fd", "99"]));
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("file descriptor 99 is not open for writing"), "{stderr}");
}

#[test]
fn a_supervisor_that_is_not_there_is_told_of_and_stops_nobody() {
    let file = file(CONFIG);
    let mut command = lb(&["run", "--config", &file]);
    let mut lb = Lb::spawn(command.env("NOTIFY_SOCKET", "/no/such/socket"));
    let stderr = lb.stderr();
    assert!(stderr.contains("cannot reach NOTIFY_SOCKET=/no/such/socket"), "{stderr}");
}

#[test]
fn the_supervisor_of_an_agent_hears_when_the_app_is_ready_and_when_it_leaves() {
    let folder = folder();
    let path = folder.join("notify");
    let address = SocketAddr::from_pathname(&path).expect("a short path");
    let supervisor = Supervisor::new(&address);
    let fixed = ["agent", "--join", "127.0.0.1:9", "--cluster", "c", "--port", "1"];
    let ready = ["--check", "off", "--ready", "fd:3", "--max-restarts", "0", "--finish", "0s"];
    let app = ["--", "/bin/sh", "-c", "echo >&3; exec sleep 1000"];
    let mut command = lb(&[&fixed[..], &ready, &app].concat());
    command.env("NOTIFY_SOCKET", &path).env("LB_ANNOUNCE_KEY", KEY);
    command.env("WATCHDOG_USEC", "100000");
    let mut agent = Lb::spawn(&mut command);
    assert!(supervisor.hear().starts_with("READY=1\nSTATUS=announced; the app is process "));
    assert_eq!(supervisor.hear_any(), "WATCHDOG=1");
    agent.signal(Signal::TERM);
    assert!(supervisor.hear().starts_with("STOPPING=1\n"));
    assert_eq!(agent.wait().code(), Some(0));
}

#[test]
fn an_app_cannot_write_where_the_supervisor_of_its_agent_listens() {
    let folder = folder();
    let (told, binary) = (folder.join("told"), env!("CARGO_BIN_EXE_lb"));
    let script = format!(
        "exec {binary} agent --join 127.0.0.1:9 --cluster c --port 1 --check off --ready notify \
         --max-restarts 0 --notification-fd 5 -- /bin/sh -c 'echo mine >&5; exit 3' 5>{}",
        told.display()
    );
    let mut command = Command::new("/bin/sh");
    let output = finish(command.args(["-c", &script]).env("LB_ANNOUNCE_KEY", KEY));
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert_eq!(fs::read(&told).expect("the file"), b"");
}
