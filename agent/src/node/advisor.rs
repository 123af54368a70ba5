//! Programs beside the agent that strategies ask over HTTP: the one that decides, and the forecaster. Their interfaces are the
//! reference's. What fails or comes late costs a period's answer, never more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use dfaas_protocol::NodeId;
use dfaas_protocol::strategy::{
    Action, ActionRequest, Answer, Ask, Load, LoadGroup, NodeType, Usage, node_key,
};
use serde::{Deserialize, Serialize};

use crate::config::StrategyConfig;

/// See the module.
#[derive(Debug)]
pub(super) struct Advisor {
    node: NodeId,
    kind: NodeType,
    external: Option<String>,
    explore: bool,
    forecaster: Option<String>,
    timeout: Duration,
    client: reqwest::Client,
    /// Whether the last question was left without an answer, so that only changes are logged.
    failing: AtomicBool,
}

#[derive(Serialize)]
struct ActionBody {
    observation: BTreeMap<String, ActionRequest>,
    agent_parameters: AgentParameters,
}

#[derive(Serialize)]
struct AgentParameters {
    explore: bool,
}

#[derive(Serialize)]
#[allow(non_snake_case, reason = "the names are the forecaster's")]
struct ForecastBody {
    rate_group_HIGH_USAGE: f64,
    rate_group_LOW_USAGE: f64,
    rate_group_MEDIUM_USAGE: f64,
    node_type: u8,
}

#[derive(Deserialize)]
struct Forecast {
    cpu_usage_node: f64,
    ram_usage_node: f64,
    power_usage_node: f64,
}

impl Advisor {
    /// The programs that the configuration names, for this node.
    pub(super) fn new(node: NodeId, config: &StrategyConfig) -> anyhow::Result<Advisor> {
        Ok(Advisor {
            node,
            kind: config.settings.node.kind,
            external: config.external.url.clone(),
            explore: config.external.explore,
            forecaster: config.forecaster_url.clone(),
            timeout: config.external.timeout,
            client: reqwest::Client::builder()
                .no_proxy()
                .build()
                .context("the client for external strategies cannot be made")?,
            failing: AtomicBool::new(false),
        })
    }

    /// Asks, and waits no longer than the timeout.
    pub(super) async fn ask(&self, ask: Ask) -> Answer {
        let answer = tokio::time::timeout(self.timeout, self.answer(ask)).await;
        let answer = answer.unwrap_or_else(|_| {
            let ms = self.timeout.as_millis();
            Err(anyhow::anyhow!("there was no answer within {ms} ms"))
        });
        match answer {
            Ok(answer) => {
                if self.failing.swap(false, Relaxed) {
                    tracing::info!("the strategy's program answers again");
                }
                answer
            }
            Err(error) => {
                if !self.failing.swap(true, Relaxed) {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "the strategy's program gives no answer to go by");
                }
                Answer::Failed
            }
        }
    }

    async fn answer(&self, ask: Ask) -> anyhow::Result<Answer> {
        match ask {
            Ask::Action(request) => self.action(*request).await.map(Answer::Action),
            Ask::Forecast(loads) => {
                let forecasts = loads.into_iter().map(|load| self.forecast(load));
                let forecasts = futures::future::try_join_all(forecasts).await?;
                Ok(Answer::Forecast(forecasts))
            }
        }
    }

    async fn action(&self, request: ActionRequest) -> anyhow::Result<Action> {
        let url = self.external.as_deref();
        let url = url.context("no program is named; set strategy.external.url")?;
        let me = node_key(self.node);
        let body = ActionBody {
            observation: BTreeMap::from([(me.clone(), request)]),
            agent_parameters: AgentParameters {
                explore: self.explore,
            },
        };
        let answer = self.client.post(format!("{url}/action")).json(&body);
        let answer = answer.send().await?.error_for_status()?;
        let mut actions: BTreeMap<String, BTreeMap<String, f64>> = answer.json().await?;
        ensure!(
            actions.len() == 1,
            "the answer has {} actions; it must have this node's alone, {me:?}",
            actions.len()
        );
        let action = actions.remove(&me);
        let action = action.with_context(|| format!("the answer has no action for {me:?}"))?;
        Ok(Action::read(&action)?)
    }

    async fn forecast(&self, load: Load) -> anyhow::Result<(Load, Usage)> {
        let url = self.forecaster.as_deref();
        let url = url.context("no forecaster is named; set strategy.node.forecaster_url")?;
        let body = ForecastBody {
            rate_group_HIGH_USAGE: load.of(LoadGroup::High),
            rate_group_LOW_USAGE: load.of(LoadGroup::Low),
            rate_group_MEDIUM_USAGE: load.of(LoadGroup::Medium),
            node_type: self.kind as u8,
        };
        // A GET with a body, as the forecaster has it.
        let answer = self.client.get(format!("{url}/node_usage")).json(&body);
        let answer = answer.send().await?.error_for_status()?;
        let [forecast]: [Forecast; 1] = answer.json().await?;
        let usage = Usage {
            cpu_percent: forecast.cpu_usage_node,
            memory_bytes: forecast.ram_usage_node,
            power_microwatts: forecast.power_usage_node,
        };
        Ok((load, usage))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Bytes;
    use axum::http::{StatusCode, Uri};
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::{Config, Overrides};

    type Seen = Arc<Mutex<Vec<(String, Value)>>>;

    /// A program that answers everything with that.
    async fn program(status: StatusCode, answer: Value, after: Duration) -> (String, Seen) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Seen::default();
        let asked = Arc::clone(&seen);
        let router = Router::new().fallback(move |uri: Uri, body: Bytes| async move {
            let body = serde_json::from_slice(&body).unwrap();
            asked.lock().unwrap().push((uri.path().to_owned(), body));
            tokio::time::sleep(after).await;
            (status, answer.to_string())
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        (url, seen)
    }

    fn advisor(external: Option<String>, forecaster: Option<String>) -> Advisor {
        let mut config = Config::load(None, &Overrides::default()).unwrap().strategy;
        config.external.url = external;
        config.forecaster_url = forecaster;
        Advisor::new(NodeId::from_key([1; 32]), &config).unwrap()
    }

    fn ask() -> Ask {
        Ask::Action(Box::new(ActionRequest {
            input_rate: 50.0,
            forwards: BTreeMap::from([("previous_fwd_to_node_X".to_owned(), 2.0)]),
            ..ActionRequest::default()
        }))
    }

    #[tokio::test]
    async fn an_action_is_asked_for_as_the_reference_asks() {
        let me = node_key(NodeId::from_key([1; 32]));
        let other = node_key(NodeId::from_key([2; 32]));
        let answer = json!({ &me: { "local": 0.5, "reject": 0.25, &other: 0.25 } });
        let (url, seen) = program(StatusCode::OK, answer, Duration::ZERO).await;
        let answer = advisor(Some(url), None).ask(ask()).await;
        let expected = [("local", 0.5), ("reject", 0.25), (other.as_str(), 0.25)];
        let expected = expected.map(|(k, v)| (k.to_owned(), v));
        let expected = Action::read(&BTreeMap::from(expected)).unwrap();
        assert_eq!(answer, Answer::Action(expected));
        let (path, body) = seen.lock().unwrap().remove(0);
        assert_eq!(path, "/action");
        assert_eq!(body["agent_parameters"], json!({ "explore": false }));
        let observation = &body["observation"][&me];
        assert_eq!(observation["input_rate"], 50.0);
        assert_eq!(observation["previous_fwd_to_node_X"], 2.0);
        assert_eq!(observation["previous_n_replicas"], 0);
    }

    #[tokio::test]
    async fn what_is_no_answer_is_a_failure() {
        let me = node_key(NodeId::from_key([1; 32]));
        let right = json!({ &me: { "local": 1.0 } });
        let two = json!({ &me: { "local": 1.0 }, "node_x": { "local": 1.0 } });
        for (status, answer, after) in [
            (StatusCode::OK, right.clone(), Duration::from_secs(5)),
            (StatusCode::INTERNAL_SERVER_ERROR, right, Duration::ZERO),
            (StatusCode::OK, two, Duration::ZERO),
            (
                StatusCode::OK,
                json!({ "node_x": { "local": 1.0 } }),
                Duration::ZERO,
            ),
            (
                StatusCode::OK,
                json!({ &me: { "local": 0.5 } }),
                Duration::ZERO,
            ),
            (StatusCode::OK, json!([1, 2]), Duration::ZERO),
        ] {
            let (url, _) = program(status, answer.clone(), after).await;
            let answered = advisor(Some(url), None).ask(ask()).await;
            assert_eq!(answered, Answer::Failed, "{answer}");
        }
        assert_eq!(advisor(None, None).ask(ask()).await, Answer::Failed);
        let nobody = Some("http://127.0.0.1:9".to_owned());
        assert_eq!(advisor(nobody, None).ask(ask()).await, Answer::Failed);
    }

    #[tokio::test]
    async fn a_forecaster_is_asked_for_each_load() {
        let answer = json!([{
            "cpu_usage_node": 120.5, "ram_usage_node": 3e9, "power_usage_node": 2.5e6
        }]);
        let (url, seen) = program(StatusCode::OK, answer, Duration::ZERO).await;
        let loads = vec![Load([1.0, 2.0, 3.0]), Load([4.0, 5.0, 6.0])];
        let answer = advisor(None, Some(url))
            .ask(Ask::Forecast(loads.clone()))
            .await;
        let usage = Usage {
            cpu_percent: 120.5,
            memory_bytes: 3e9,
            power_microwatts: 2.5e6,
        };
        assert_eq!(
            answer,
            Answer::Forecast(loads.iter().map(|l| (*l, usage)).collect())
        );
        let seen = seen.lock().unwrap();
        let first = seen
            .iter()
            .find(|(_, body)| body["rate_group_HIGH_USAGE"] == 1.0);
        let (path, body) = first.unwrap();
        assert_eq!(path, "/node_usage");
        let expected = json!({
            "rate_group_HIGH_USAGE": 1.0, "rate_group_MEDIUM_USAGE": 2.0,
            "rate_group_LOW_USAGE": 3.0, "node_type": 1
        });
        assert_eq!(*body, expected);
    }
}
