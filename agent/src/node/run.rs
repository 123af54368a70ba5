//! The life of a node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context as _, bail};
use dfaas_protocol::NodeId;
use dfaas_protocol::membership::Region;
use dfaas_protocol::offer::PeerEndpoint;
use dfaas_protocol::policy::NODE_REGION;
use dfaas_protocol::wire::Message;
use rand::Rng;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::admin;
use crate::admin::access::{Access, MIN_TOKEN};
use crate::admin::listen::AdminListener;
use crate::admin::view::Addresses;
use crate::clock::Clock;
use crate::config::{AdminConfig, AdminListen, Config, OverlayConfig, PlatformConfig, RunOptions};
use crate::datapath::headers::ascii;
use crate::datapath::{Allowances, PeerTls, Shared};
use crate::explain::Explanations;
use crate::health::{PlatformHealth, watch_platform};
use crate::identity::Identity;
use crate::ingress::Front;
use crate::joining::{Issuing, keep_certificate};
use crate::membership::{Membership, News};
use crate::overlay::Overlay;
use crate::peer::check_neighbours;
use crate::platform::{Embedded, OpenFaas, Pace, Platform};
use crate::secret::Secret;
use crate::telemetry::access::AccessLog;
use crate::tls::{Certificate, HTTP_1_1, acceptor};

use super::advisor::Advisor;
use super::control::Control;
use super::events::Events;
use super::listen::listen;
use super::observe::Observer;
use super::orders::Obedient;
use super::stop::{Stdin, asked_to_stop};
use super::tasks::Tasks;
use super::workers::Workers;
use super::{files, ready};

/// How often the threads are looked after.
const LOOK_AFTER: Duration = Duration::from_millis(50);

/// How long a draining node keeps its connections at least: a call that is on its way over a connection that is just being
/// closed is lost.
const FAREWELL: Duration = Duration::from_millis(500);

/// Runs a node until it is told to stop, and drains it then.
///
/// # Errors
/// If it cannot start, or a thread of the data path dies.
pub fn run(config: Config, options: RunOptions) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("control")
        .enable_all()
        .build()
        .context("the control plane's threads cannot be started")?
        .block_on(live(config, options))
}

async fn live(config: Config, options: RunOptions) -> anyhow::Result<()> {
    let identity = Identity::load_or_create(&config.state_dir)?;
    let node = identity.node_id();
    let pace = Arc::<Pace>::default();
    let (platform, poll) = start_platform(&config, &pace).await?;
    let (membership, news) = let_in(node, &config)?;
    let tls = PeerTls::new(identity.keypair(), membership.clone())?;
    let overlay_config = with_issuer(&config.overlay, &membership)?;
    let (overlay, overlay_events) = Overlay::start(&identity, &overlay_config, &tls).await?;
    let federation = membership.federation();
    let issuing = federation.and_then(|federation| Issuing::new(federation, overlay.tcp_port()));

    let clock = Clock::start();
    let (access, access_writer) = AccessLog::open(&config.log.access, node)?.unzip();
    let shared = Arc::new(Shared {
        node,
        node_header: ascii(node.to_string()),
        clock,
        routes: Default::default(),
        gateway: platform.gateway().clone(),
        platform: Arc::new(PlatformHealth::new(clock)),
        access: access.clone(),
        turned_away: Default::default(),
        explanations: Explanations::new(
            node,
            clock,
            config.log.explain_calls,
            config.ingress.threads,
        ),
        timeouts: config.timeouts.clone(),
        allowances: Arc::new(Allowances::new(config.limits.calls, clock)),
        unproved: Arc::default(),
        tls,
        issuing,
        draining: AtomicBool::new(false),
        lies: AtomicBool::new(false),
    });
    let front = Arc::new(Front::new(&config.ingress).context("the section ingress")?);
    let (stop_workers, stopped) = watch::channel(false);
    let count = config.ingress.threads;
    let ingress = listen(config.ingress.listen, count)
        .with_context(|| format!("ingress.listen = {} cannot be bound", config.ingress.listen))?;
    let peer = match &membership {
        Membership::Alone => Vec::new(),
        Membership::Open | Membership::Closed(_) => listen(config.peer.listen, count)
            .with_context(|| format!("peer.listen = {} cannot be bound", config.peer.listen))?,
    };
    let (admin, access_to_admin, certificate) = admin_address(&config.admin).await?;
    let peer_address = peer
        .first()
        .map(|listener| listener.local_addr())
        .transpose()?;
    let addresses = Addresses {
        ingress: ingress[0].local_addr()?.to_string(),
        peer: peer_address.map(|address| address.to_string()),
        admin: admin.address().to_owned(),
        overlay: overlay
            .listen_addresses()
            .iter()
            .map(ToString::to_string)
            .collect(),
        platform: platform.gateway().url(),
    };

    let endpoint = PeerEndpoint {
        host: config.peer.advertise,
        port: peer_address.unwrap_or(config.peer.listen).port(),
    };
    let boot = rand::rng().next_u64();
    let control = Control::new(Arc::clone(&shared), &config, endpoint, boot);
    let advisor = Advisor::new(node, &config.strategy)?;
    let events = Events::new(control, overlay.clone(), advisor);
    events.ask_first(platform.as_ref()).await;

    let workers = Workers::start(&shared, &front, ingress, peer, &stopped)
        .context("the data path's threads cannot be started")?;
    let tasks = Tasks::default();
    let overlay_events = Arc::new(Mutex::new(overlay_events));
    let own = events.clone();
    tasks.keep("hear", move || {
        own.clone().hear(Arc::clone(&overlay_events))
    });
    let (own, news) = (events.clone(), Arc::new(Mutex::new(news)));
    tasks.keep("tell of members", move || {
        own.clone().tell_of_members(Arc::clone(&news))
    });
    let own = membership.clone();
    tasks.keep("watch members", move || own.clone().watch());
    if let Some(federation) = membership.federation() {
        let (own, tls) = (Arc::clone(federation), shared.tls.clone());
        tasks.keep("keep the certificate", move || {
            keep_certificate(Arc::clone(&own), tls.clone())
        });
    }
    let own = events.clone();
    let period = config.strategy.period;
    tasks.keep("keep time", move || own.clone().keep_time(period));
    let own = events.clone();
    tasks.keep("watch", move || own.clone().keep_watch());
    let own = events.clone();
    tasks.keep("learn", move || own.clone().learn());
    let (own, of) = (events.clone(), Arc::clone(&platform));
    tasks.keep("list functions", move || {
        own.clone().watch(Arc::clone(&of), poll)
    });
    let (own, of) = (events.clone(), Arc::clone(&platform));
    tasks.keep("follow the platform", move || {
        own.clone().follow_platform(Arc::clone(&of))
    });
    let (health, of) = (Arc::clone(&shared.platform), Arc::clone(&platform));
    tasks.keep("check the platform", move || {
        watch_platform(Arc::clone(&health), Arc::clone(&of))
    });
    let (own, tls) = (events.clone(), shared.tls.clone());
    tasks.keep("check neighbours", move || {
        let own = own.clone();
        check_neighbours(tls.clone(), clock, move || own.control().to_check())
    });
    let (drain, mut asked_to_drain) = watch::channel(None);
    let observer = Observer {
        events: events.clone(),
        stop: drain,
        tasks: tasks.clone(),
        addresses: addresses.clone(),
    };
    let mut stop_admin = stopped.clone();
    let told_to_stop = async move {
        let _ = stop_admin.wait_for(|stop| *stop).await;
    };
    let admin = tokio::spawn(admin::api::serve(
        admin,
        access_to_admin,
        Arc::new(observer),
        told_to_stop,
    ));

    let certificates = front.certificate().into_iter().chain(certificate).collect();
    let hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be listened for")?;
    tokio::spawn(files::follow(access.clone(), certificates, hangup));
    if let Some(path) = &options.ready_file {
        ready::write(path, node, &addresses)?;
    }
    tracing::info!(%node, ingress = addresses.ingress, "ready");
    notify(&[sd_notify::NotifyState::Ready]);

    let stdin = match (options.lab_orders, options.stop_with_stdin) {
        (true, _) => Stdin::Orders(Obedient {
            pace,
            overlay: overlay.clone(),
            shared: Arc::clone(&shared),
        }),
        (false, true) => Stdin::Stops,
        (false, false) => Stdin::Unused,
    };
    let reason = tokio::select! {
        reason = asked_to_stop(stdin) => reason?,
        Ok(_) = asked_to_drain.wait_for(Option::is_some) => "dfaas drain",
        () = any_ended(&workers) => bail!("a thread of the data path died; see the log above"),
    };

    tracing::info!(reason, "draining");
    notify(&[sd_notify::NotifyState::Stopping]);
    let asked = *asked_to_drain.borrow();
    let notice = asked.and_then(|drain| drain.notice_ms);
    let notice = notice.map_or(config.timeouts.notice, Duration::from_millis);
    let notice = notice.max(FAREWELL.min(config.timeouts.drain));
    let until = Instant::now() + notice + config.timeouts.drain;
    // Neighbours choose others from now on, and still take what clients bring here.
    shared.draining.store(true, Relaxed);
    events.cordon(true);
    tokio::time::sleep(notice).await;
    overlay.broadcast(&Message::Farewell);
    let _ = stop_workers.send(true);
    while !workers.all_ended() && Instant::now() < until {
        tokio::time::sleep(LOOK_AFTER).await;
    }
    if !workers.all_ended() {
        tracing::warn!("calls were still running when the drain time was over; they are cut off");
    }
    if let (Some(log), Some(writer)) = (&access, access_writer) {
        writer.finish(log).await;
    }
    overlay.shutdown().await;
    admin.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Binds the admin address, and reads the token and the certificate for it.
async fn admin_address(
    config: &AdminConfig,
) -> anyhow::Result<(AdminListener, Access, Option<Arc<Certificate>>)> {
    let mut certificate = None;
    let access = match &config.token_file {
        None => Access::open(),
        Some(file) => {
            let token = Secret::read(file).and_then(|token| token.of_at_least(MIN_TOKEN, file));
            Access::with_token(&token.context("admin.token_file")?)
        }
    };
    let listener = match &config.listen {
        AdminListen::Unix(path) => AdminListener::unix(path)
            .await
            .with_context(|| format!("admin.listen = unix:{} cannot be made", path.display()))?,
        AdminListen::Tcp(at) => {
            let listener = tokio::net::TcpListener::bind(at)
                .await
                .with_context(|| format!("admin.listen = {at} cannot be bound"))?;
            match &config.tls {
                None => AdminListener::tcp(listener)?,
                Some(files) => {
                    let tls = acceptor(files, &[HTTP_1_1]).context("the section admin")?;
                    let acceptor = tls.0;
                    certificate = Some(tls.1);
                    AdminListener::tls(listener, acceptor)?
                }
            }
        }
    };
    Ok((listener, access, certificate))
}

/// Whom this node lets in, which it says at each start.
fn let_in(node: NodeId, config: &Config) -> anyhow::Result<(Membership, News)> {
    let region = config.node.labels.get(NODE_REGION);
    let region = region.and_then(|text| text.parse::<Region>().ok());
    let (membership, news) =
        Membership::load(node, &config.federation, &config.state_dir, region.clone())?;
    match &membership {
        Membership::Alone => tracing::info!(
            "this node belongs to no federation and stands alone: it serves its own clients only; `dfaas federation \
             join TOKEN` makes it a member, and federation.open = true lets every node in"
        ),
        Membership::Open => tracing::warn!(
            "federation.open is set: every node that can connect is let in, and its calls are run; close the federation \
             with `dfaas federation init` and `invite`"
        ),
        Membership::Closed(federation) => {
            let own = federation.own();
            let vouched = own.as_ref().and_then(|own| own.grant().region.clone());
            if own.is_some() && region.is_some() && region != vouched {
                tracing::warn!(
                    "the label region of the configuration is not the one in the membership certificate, which holds"
                );
            }
        }
    }
    Ok((membership, news))
}

/// With the node that issued the certificate among those to begin with.
fn with_issuer(config: &OverlayConfig, membership: &Membership) -> anyhow::Result<OverlayConfig> {
    let mut config = config.clone();
    let Some(federation) = membership.federation() else {
        return Ok(config);
    };
    if let Some(issuer) = federation.issuer()?
        && config.listed.is_empty()
        && let Some(address) = issuer.overlay_address()
        && !config.bootstrap.contains(&address)
    {
        config.bootstrap.push(address);
    }
    Ok(config)
}

async fn start_platform(
    config: &Config,
    pace: &Arc<Pace>,
) -> anyhow::Result<(Arc<dyn Platform>, Duration)> {
    Ok(match &config.platform {
        PlatformConfig::OpenFaas(openfaas) => {
            let platform = OpenFaas::connect(openfaas, &config.timeouts)?;
            (Arc::new(platform), openfaas.poll)
        }
        PlatformConfig::Embedded(embedded) => {
            let platform = Embedded::start(embedded, Arc::clone(pace))?;
            (Arc::new(platform), config.strategy.period)
        }
    })
}

async fn any_ended(workers: &Workers) {
    while !workers.any_ended() {
        tokio::time::sleep(LOOK_AFTER).await;
    }
}

/// Tells the service manager, where there is one.
fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
