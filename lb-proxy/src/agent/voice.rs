//! Announcing the app: whatever it is to be now, again and again, and a goodbye at once.

use std::{io, time::Duration};

use lb_discovery::announce::{Announcer, State};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

/// Announces in a task of its own. Nothing is said before [`Self::say`].
#[derive(Debug)]
pub(super) struct Voice {
    wanted: watch::Sender<State>,
    speaking: JoinHandle<()>,
}

impl Voice {
    pub(super) fn start(announcer: Announcer) -> Self {
        let (wanted, wish) = watch::channel(State::Down);
        let speaking = tokio::spawn(speak(announcer, wish));
        Self { wanted, speaking }
    }

    /// Says this from now on.
    pub(super) fn say(&self, state: State) {
        // Nobody hears if the task has panicked, which has been told.
        let _ = self.wanted.send(state);
    }

    /// Waits until a goodbye that is being said is out.
    pub(super) async fn finish(self) {
        drop(self.wanted);
        let _ = timeout(LAST_WORDS, self.speaking).await;
    }
}

async fn speak(mut announcer: Announcer, mut wish: watch::Receiver<State>) {
    let mut trouble = None;
    while wish.changed().await.is_ok() {
        loop {
            let state = *wish.borrow_and_update();
            if state == State::Down {
                tell(&mut trouble, announcer.leave().await);
                break;
            }
            // What is sent may have to look for an address, and a goodbye does not wait.
            tokio::select! {
                sent = announcer.beat(state) => tell(&mut trouble, sent),
                changed = wish.changed() => if changed.is_err() { return } else { continue },
            }
            tokio::select! {
                () = tokio::time::sleep(announcer.pause()) => {}
                changed = wish.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// Tells of it when it changes.
fn tell(trouble: &mut Option<String>, sent: io::Result<()>) {
    let now = sent.err().map(|error| error.to_string());
    match (&*trouble, &now) {
        (before, Some(text)) if before.as_ref() != Some(text) => {
            tracing::warn!("not announced: {text}; trying on");
        }
        (Some(_), None) => tracing::info!("announced again"),
        _ => {}
    }
    *trouble = now;
}

/// A goodbye is said three times, and may have to look for an address.
const LAST_WORDS: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use lb_discovery::announce::{Key, Place, Record, Sealed, Target};
    use tokio::net::UdpSocket;

    use super::*;

    async fn hear(socket: &UdpSocket) -> State {
        let mut bytes = [0; 1_500];
        let (length, _) = socket.recv_from(&mut bytes).await.unwrap();
        let sealed = Sealed::parse(&bytes[..length]).unwrap();
        sealed.open(&Key::new([7; 32])).unwrap().record.state
    }

    #[tokio::test]
    async fn a_goodbye_interrupts_whatever_is_said() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = socket.local_addr().unwrap().to_string().into();
        let record = Record::new("c", Place::Port(80));
        let target = Target { to, interface: None };
        let long = Duration::from_mins(10);
        let announcer = Announcer::new(Key::new([7; 32]), record, vec![target], long, 1).unwrap();
        let voice = Voice::start(announcer);
        voice.say(State::Up);
        assert_eq!(hear(&socket).await, State::Up);
        voice.say(State::Down);
        let mut heard = hear(&socket).await;
        if heard == State::Up {
            // The other one of the pair.
            heard = hear(&socket).await;
        }
        assert_eq!(heard, State::Down);
        voice.finish().await;
        assert_eq!([hear(&socket).await, hear(&socket).await], [State::Down; 2]);
    }
}
