//! tower: P2C over services that count what is pending, `ready` and `call`.

use std::{
    convert::Infallible,
    future::{self, Future as _, Ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use tower::{
    Service,
    balance::p2c::Balance,
    discover::ServiceList,
    load::{CompleteOnResponse, PendingRequests},
};

use crate::contender::Contender;

/// Each request is picked for, counted in, answered at once and counted out.
pub(crate) fn p2c(size: usize) -> Contender {
    Contender::new("tower p2c", move |_| {
        let services = (0..size)
            .map(|number| PendingRequests::new(Answering(number), CompleteOnResponse::default()));
        let services: Vec<_> = services.collect();
        let mut balance = Balance::new(ServiceList::new::<()>(services));
        Box::new(move |picks| {
            let mut context = Context::from_waker(Waker::noop());
            let mut without = 0;
            for _ in 0..picks {
                let Poll::Ready(Ok(())) = balance.poll_ready(&mut context) else {
                    without += 1;
                    continue;
                };
                let answer = pin!(balance.call(())).poll(&mut context);
                without += u64::from(!matches!(black_box(&answer), Poll::Ready(Ok(_))));
            }
            without
        })
    })
}

/// A backend that is always ready and says who it is.
struct Answering(usize);

impl Service<()> for Answering {
    type Response = usize;
    type Error = Infallible;
    type Future = Ready<Result<usize, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        future::ready(Ok(self.0))
    }
}
