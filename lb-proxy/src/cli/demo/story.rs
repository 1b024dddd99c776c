//! What `lb demo --check` does: ask, kill, ask, revive, ask, with traffic all the
//! while.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;

use super::{
    claims::{Claims, Shares, chi_square, listed},
    client::Client,
    farm::Farm,
};

/// Requests, or clients, that shares are counted over.
const MANY: usize = 100;
/// Requests of one client.
const FAITHFUL: usize = 50;
/// How long a verdict on a backend may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells the story. An error is something that should not happen at all.
pub(super) fn tell(farm: &mut Farm, claims: &mut Claims) -> anyhow::Result<()> {
    let address = farm.address()?;
    shares(address, claims)?;
    let mut client = Client::new(address);
    stickiness(&mut client, claims)?;
    let background = Background::default();
    let told = thread::scope(|scope| {
        for path in ["/", "/api/x"] {
            scope.spawn(|| background.ask(address, path));
        }
        let told = failover_and_return(farm, &mut client, claims);
        background.end.store(true, Ordering::Relaxed);
        told
    });
    let (answered, lost) = background.counts();
    let seen = format!("{answered} answered, {lost} lost");
    claims.note("nothing is lost meanwhile", lost == 0 && answered > 0, seen);
    told?;
    afterwards(address, &mut client, claims)
}

fn shares(address: SocketAddr, claims: &mut Claims) -> anyhow::Result<()> {
    let dynamic = count(address, "/api/x")?;
    let half = [MANY / 2, MANY / 2];
    let exact = dynamic.len() == 2 && dynamic.values().eq(&half);
    claims.note("round-robin is exact", exact, listed(&dynamic));
    let path = Client::new(address).get("/api/x?y=1")?.path;
    claims.note(
        "the prefix is stripped",
        path == "/x?y=1",
        format!("/api/x?y=1 arrives as {path}"),
    );
    let fresh = count(address, "/")?;
    let chi_square = chi_square(&fresh, 2);
    let seen = format!("{}, chi-square {chi_square:.1}", listed(&fresh));
    claims.note("new clients are spread", chi_square < 10.8, seen);
    Ok(())
}

/// Who answers `MANY` clients that have no cookie.
fn count(address: SocketAddr, path: &str) -> anyhow::Result<Shares> {
    let mut shares = Shares::new();
    for _ in 0..MANY {
        *shares.entry(Client::new(address).get(path)?.name).or_default() += 1;
    }
    Ok(shares)
}

/// Asks again and again as one client: who answers, and with how many cookies.
fn ask_on(client: &mut Client) -> anyhow::Result<(Shares, usize)> {
    let (mut shares, mut cookies) = (Shares::new(), 0);
    for _ in 0..FAITHFUL {
        let answer = client.get("/")?;
        cookies += usize::from(answer.sets_cookie);
        *shares.entry(answer.name).or_default() += 1;
    }
    Ok((shares, cookies))
}

fn stickiness(client: &mut Client, claims: &mut Claims) -> anyhow::Result<()> {
    let (shares, cookies) = ask_on(client)?;
    let seen = format!("{}, cookies set: {cookies}", listed(&shares));
    claims.note("a client stays with its backend", shares.len() == 1 && cookies == 1, seen);
    Ok(())
}

fn failover_and_return(
    farm: &mut Farm,
    client: &mut Client,
    claims: &mut Claims,
) -> anyhow::Result<()> {
    let address = farm.address()?;
    let bound_to = client.get("/")?.name;
    farm.kill(&bound_to)?;
    farm.kill("d1")?;
    let next = client.get("/")?;
    let moved = next.name != bound_to && next.sets_cookie;
    let seen = format!("{bound_to} was killed; {} answers and sets a new cookie", next.name);
    claims.note("a killed backend's client moves on", moved, seen);
    let left = count(address, "/api/x")?;
    claims.note("the others take its share", left.keys().eq(["d2"]), listed(&left));

    farm.revive(&bound_to)?;
    farm.revive("d1")?;
    let waited = wait_for(address, "/api/x", "d1")?;
    wait_for(address, "/", &bound_to)?;
    let seen = format!("first request {} ms after it came back", waited.as_millis());
    claims.note("a backend that comes back is used", true, seen);
    Ok(())
}

/// Counted when nobody else is asking, so that turns are not shared with others.
fn afterwards(address: SocketAddr, client: &mut Client, claims: &mut Claims) -> anyhow::Result<()> {
    let again = count(address, "/api/x")?;
    let exact = again.len() == 2 && again.values().eq(&[MANY / 2, MANY / 2]);
    claims.note("and takes its whole share", exact, listed(&again));
    let stays_with = client.get("/")?;
    let (shares, cookies) = ask_on(client)?;
    let stays = shares.keys().eq([&stays_with.name]) && cookies == 0 && !stays_with.sets_cookie;
    claims.note("clients that moved stay where they are", stays, listed(&shares));
    Ok(())
}

/// Asks as new clients until `name` answers.
fn wait_for(address: SocketAddr, path: &str, name: &str) -> anyhow::Result<Duration> {
    let started = Instant::now();
    while Client::new(address).get(path)?.name != name {
        if started.elapsed() > PATIENCE {
            bail!("{name} came back and got no request within {PATIENCE:?}");
        }
    }
    Ok(started.elapsed())
}

/// Traffic that should not notice anything.
#[derive(Debug, Default)]
struct Background {
    end: AtomicBool,
    answered: AtomicUsize,
    lost: AtomicUsize,
}

impl Background {
    fn ask(&self, address: SocketAddr, path: &str) {
        while !self.end.load(Ordering::Relaxed) {
            let answer = Client::new(address).get(path);
            let counted = if answer.is_ok() { &self.answered } else { &self.lost };
            counted.fetch_add(1, Ordering::Relaxed);
            // A steady trickle, not a load test.
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn counts(&self) -> (usize, usize) {
        (self.answered.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }
}
