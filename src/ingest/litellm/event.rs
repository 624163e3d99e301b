//! One call as LiteLLM sends it, unchecked.

use serde::de::DeserializeSeed as _;

use crate::ingest::wire::{LooseValue, Walk, WalkTarget};
use crate::model::Name;
use crate::model::record::limits;

/// Maximum number of tags that are read.
const TAGS_MAX: usize = 64;

macro_rules! members {
    ($($(#[$doc:meta])* $member:ident: $($name:literal)|+ in $place:ident;)+) => {
        /// A value of an event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Member { $($(#[$doc])* $member,)+ }

        const MEMBERS: usize = [$(Member::$member),+].len();

        impl EventPlace {
            fn leaf(self, name: &str) -> Option<Member> {
                match (self, name) {
                    $((Self::$place, $($name)|+) => Some(Member::$member),)+
                    _ => None,
                }
            }
        }
    };
}

members! {
    /// The provider's id of the response; LiteLLM's own id if the call failed.
    Id: "id" in Event;
    CallId: "litellm_call_id" in Event;
    /// The id in the table of spend logs.
    RequestId: "request_id" in Event;
    CallType: "call_type" in Event;
    Status: "status" in Event;
    Started: "startTime" | "start_time" in Event;
    Ended: "endTime" | "end_time" in Event;
    FirstToken: "completionStartTime" | "completion_start_time" in Event;
    Stream: "stream" in Event;
    PromptTokens: "prompt_tokens" in Event;
    CompletionTokens: "completion_tokens" in Event;
    ResponseCost: "response_cost" in Event;
    Spend: "spend" in Event;
    Model: "model" in Event;
    ModelGroup: "model_group" in Event;
    Provider: "custom_llm_provider" in Event;
    EndUser: "end_user" in Event;
    InternalUser: "user" in Event;
    Team: "team_id" in Event;
    Organization: "organization_id" in Event;
    Session: "session_id" in Event;
    CacheHit: "cache_hit" in Event;
    MetadataEndUser: "user_api_key_end_user_id" in Metadata;
    MetadataUser: "user_api_key_user_id" in Metadata;
    MetadataTeam: "user_api_key_team_id" in Metadata;
    MetadataProject: "user_api_key_project_id" in Metadata;
    MetadataOrganization: "user_api_key_org_id" in Metadata;
    Retries: "attempted_retries" in Metadata;
    CachedTokens: "cached_tokens" in PromptDetails;
    ReasoningTokens: "reasoning_tokens" in CompletionDetails;
    ErrorStatus: "error_code" in ErrorInformation;
    ErrorClass: "error_class" in ErrorInformation;
    NormalizedError: "normalized_error" in ErrorInformation;
    /// Present if the cost is 0 because it is unknown.
    CostFailure: "error_type" | "reason" | "error_str" | "status" in CostDiagnostic;
}

/// Where in an event a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventPlace {
    Event,
    Metadata,
    Usage,
    PromptDetails,
    CompletionDetails,
    ErrorInformation,
    CostDiagnostic,
    Tags,
    Leaf(Member),
}

/// One call as LiteLLM sends it.
#[derive(Clone, Debug, PartialEq)]
pub struct LitellmEvent {
    /// By [`Member`].
    values: [Option<LooseValue>; MEMBERS],
    /// Tags of the request.
    pub(super) tags: Vec<Name>,
}

impl Default for LitellmEvent {
    fn default() -> Self {
        Self { values: [const { None }; MEMBERS], tags: Vec::new() }
    }
}

impl LitellmEvent {
    /// Sets a column of the table of spend logs; other columns are ignored. Structured columns are JSON, possibly
    /// in quotation marks.
    pub fn set_column(&mut self, name: &str, cell: &str) {
        match Self::member(EventPlace::Event, name) {
            None => {}
            Some(EventPlace::Leaf(member)) => self.set(member, text_of(cell)),
            Some(place) => self.walk_json(place, cell, 0),
        }
    }

    /// Whether a column of this name is read.
    pub fn has_column(name: &str) -> bool {
        Self::member(EventPlace::Event, name).is_some()
    }

    pub(super) const fn get(&self, member: Member) -> Option<&LooseValue> {
        self.values[member as usize].as_ref()
    }

    /// The first value wins.
    fn set(&mut self, member: Member, value: Option<LooseValue>) {
        let target = &mut self.values[member as usize];
        *target = target.take().or(value);
    }

    /// Reads a structured value from a text; malformed JSON counts as absent.
    fn walk_json(&mut self, place: EventPlace, text: &str, depth: usize) {
        let mut json = serde_json::Deserializer::from_str(text);
        drop(Walk { target: self, place, depth }.deserialize(&mut json));
    }
}

/// A short text, unless it says that there is no value.
fn text_of(text: &str) -> Option<LooseValue> {
    let text = text.trim();
    let is_value = !matches!(text, "NULL" | "\\N") && text.len() <= limits::HASHED_INPUT_BYTES;
    is_value.then(|| LooseValue::text_of(text)).flatten()
}

impl WalkTarget for LitellmEvent {
    type Place = EventPlace;

    fn member(place: EventPlace, name: &str) -> Option<EventPlace> {
        use EventPlace as P;
        Some(match (place, name) {
            (P::Event, "metadata") => P::Metadata,
            (P::Event, "request_tags") => P::Tags,
            (P::Event | P::Metadata, "error_information") => P::ErrorInformation,
            (P::Event, "response_cost_failure_debug_info" | "zero_cost_diagnostic") => {
                P::CostDiagnostic
            }
            (P::Metadata, "usage_object") => P::Usage,
            (P::Usage, "prompt_tokens_details") => P::PromptDetails,
            (P::Usage, "completion_tokens_details") => P::CompletionDetails,
            _ => P::Leaf(place.leaf(name)?),
        })
    }

    fn element(place: EventPlace) -> Option<EventPlace> {
        (place == EventPlace::Tags).then_some(place)
    }

    fn value(&mut self, place: EventPlace, value: LooseValue) {
        if let EventPlace::Leaf(member) = place {
            self.set(member, Some(value));
        }
    }

    fn text(&mut self, place: EventPlace, text: &str, depth: usize) {
        match place {
            EventPlace::Leaf(member) => self.set(member, text_of(text)),
            EventPlace::Tags if !text.starts_with(['[', '{', '"']) => {
                if self.tags.len() < TAGS_MAX && text.len() <= limits::LABEL_BYTES {
                    self.tags.push(Name::new(text));
                }
            }
            // Structured values of the table may be JSON in a text.
            _ => self.walk_json(place, text, depth + 1),
        }
    }
}
