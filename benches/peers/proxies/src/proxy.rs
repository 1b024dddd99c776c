//! The proxies and how each is configured: as its experts would for this job.
//!
//! One worker, no logs, persistent connections to the backends, limits on requests
//! per connection out of the way. Nothing is switched on that changes what the
//! proxy guarantees.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

/// One proxy that can be measured.
#[derive(Debug)]
pub(crate) struct Proxy {
    kind: Kind,
    label: String,
    program: PathBuf,
}

/// What the program is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Lb,
    Haproxy,
    Nginx,
}

/// What a proxy is asked to do.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) listen: SocketAddr,
    pub(crate) backends: Vec<SocketAddr>,
    /// Client connections to expect.
    pub(crate) connections: usize,
    /// The peers add the forwarded headers that `lb` always adds.
    pub(crate) forwarded: bool,
}

impl Proxy {
    pub(crate) fn new(kind: Kind, label: &str, program: PathBuf) -> Self {
        Self { kind, label: label.to_owned(), program }
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// What the program says about itself; `None` where it is not installed.
    pub(crate) fn version(&self) -> Option<String> {
        let argument = match self.kind {
            Kind::Lb => "version",
            Kind::Haproxy | Kind::Nginx => "-v",
        };
        let output = Command::new(&self.program).arg(argument).output().ok()?;
        // nginx prints its version on standard error.
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        Some(said.lines().next().unwrap_or("unknown").trim().to_owned())
    }

    /// The command that runs it in the foreground, its configuration in `directory`.
    pub(crate) fn command(&self, setting: &Setting, directory: &Path) -> Result<Command> {
        let mut command = Command::new(&self.program);
        match self.kind {
            Kind::Lb => {
                command.arg("run");
                for backend in &setting.backends {
                    command.arg("--to").arg(backend.to_string());
                }
                command.arg("--listen").arg(setting.listen.to_string());
                command.args(["--workers", "1", "--strategy", "round-robin"]);
                // What is measured is what is written here, whatever the caller's environment says.
                for (name, _) in std::env::vars_os() {
                    if name.to_string_lossy().starts_with("LB_") {
                        command.env_remove(name);
                    }
                }
            }
            Kind::Haproxy => {
                let config = directory.join("haproxy.cfg");
                fs::write(&config, haproxy(setting))?;
                command.args(["-db", "-f"]).arg(config);
            }
            Kind::Nginx => {
                let config = directory.join("nginx.conf");
                fs::write(&config, nginx(setting, directory))?;
                // `-e` for what goes wrong before the configuration is read.
                command.arg("-p").arg(directory).args(["-e", "stderr", "-c"]).arg(config);
            }
        }
        Ok(command)
    }
}

/// The two ratios keep it from closing idle backend connections when it sees many
/// connections beside its limit of descriptors.
fn haproxy(setting: &Setting) -> String {
    let mut servers = String::new();
    for (number, backend) in setting.backends.iter().enumerate() {
        let _ = writeln!(servers, "    server s{number} {backend}");
    }
    let forwarded = if setting.forwarded {
        "    option forwardfor\n    \
         http-request set-header X-Forwarded-Proto http\n    \
         http-request set-header X-Forwarded-Host %[req.hdr(host)]\n"
    } else {
        ""
    };
    format!(
        "global
    nbthread 1
    maxconn 4000
    tune.pool-low-fd-ratio 90
    tune.pool-high-fd-ratio 95

defaults
    mode http
    option http-keep-alive
    http-reuse always
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s

frontend front
    bind {listen}
{forwarded}    default_backend back

backend back
    balance roundrobin
{servers}",
        listen = setting.listen
    )
}

fn nginx(setting: &Setting, directory: &Path) -> String {
    let mut servers = String::new();
    for backend in &setting.backends {
        let _ = writeln!(servers, "        server {backend};");
    }
    let forwarded = if setting.forwarded {
        "            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;\n"
    } else {
        ""
    };
    // Nobody but this process needs the rights nginx would give up, and its worker
    // must reach the directory.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;
worker_processes 1;
error_log stderr crit;
pid {directory}/pid;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/client;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream back {{
{servers}        keepalive {idle};
        keepalive_timeout 600s;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen} backlog=4096;
        location / {{
            proxy_pass http://back;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
{forwarded}            proxy_max_temp_file_size 0;
            proxy_buffer_size 16k;
            proxy_buffers 8 64k;
            proxy_busy_buffers_size 128k;
            client_body_buffer_size 128k;
        }}
    }}
}}
",
        idle = setting.connections.max(128),
        listen = setting.listen,
        directory = directory.display()
    )
}
