//! The built binary `lb`, from outside: processes, sockets, exit codes, output.
//!
//! Nothing sleeps to wait for something; what takes time is polled until a
//! deadline. Every listener has port 0, and the start line says what it became.

mod admin;
mod announce;
mod check;
mod client;
mod config;
mod demo;
mod explain;
mod gossip;
mod live;
mod live_places;
mod process;
mod reload;
mod run;
mod standstill;
mod stderr;
mod stop;
mod strategies;
mod tiers;
