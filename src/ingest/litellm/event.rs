//! One call as LiteLLM tells it, unchecked.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::Name;
use crate::model::record::limits;

/// Most tags that are looked at.
const TAGS_MAX: usize = 64;
/// Deepest nesting that is looked at: no member that is read lies deeper.
const DEPTH_MAX: u8 = 16;

/// A number, a boolean or a short text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    Bool(bool),
    Number(f64),
    Text(Name),
}

impl Told {
    fn of_text(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_told = !matches!(text, "" | "None" | "null" | "NULL" | "\\N");
        (is_told && text.len() <= limits::HASHED_INPUT_BYTES).then(|| Self::Text(Name::new(text)))
    }
}

macro_rules! members {
    ($($(#[$doc:meta])* $field:ident: $($name:literal)|+ in $place:ident;)+) => {
        /// One call as LiteLLM tells it.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct LitellmEvent {
            $($(#[$doc])* pub(super) $field: Option<Told>,)+
            /// Tags of the request.
            pub(super) tags: Vec<Name>,
        }

        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(non_camel_case_types, reason = "named like the fields")]
        enum Member { $($field,)+ }

        impl LitellmEvent {
            fn slot(&mut self, member: Member) -> &mut Option<Told> {
                match member { $(Member::$field => &mut self.$field,)+ }
            }
        }

        impl Place {
            fn leaf(self, name: &str) -> Option<Member> {
                match (self, name) {
                    $((Self::$place, $($name)|+) => Some(Member::$field),)+
                    _ => None,
                }
            }
        }
    };
}

members! {
    /// The provider's id of the answer; the call's own when it failed.
    id: "id" in Event;
    call_id: "litellm_call_id" in Event;
    /// The id in the table of spend logs.
    request_id: "request_id" in Event;
    call_type: "call_type" in Event;
    status: "status" in Event;
    started: "startTime" | "start_time" in Event;
    ended: "endTime" | "end_time" in Event;
    first_token: "completionStartTime" | "completion_start_time" in Event;
    stream: "stream" in Event;
    prompt_tokens: "prompt_tokens" in Event;
    completion_tokens: "completion_tokens" in Event;
    response_cost: "response_cost" in Event;
    spend: "spend" in Event;
    model: "model" in Event;
    model_group: "model_group" in Event;
    provider: "custom_llm_provider" in Event;
    end_user: "end_user" in Event;
    internal_user: "user" in Event;
    team: "team_id" in Event;
    organization: "organization_id" in Event;
    session: "session_id" in Event;
    cache_hit: "cache_hit" in Event;
    metadata_end_user: "user_api_key_end_user_id" in Metadata;
    metadata_user: "user_api_key_user_id" in Metadata;
    metadata_team: "user_api_key_team_id" in Metadata;
    metadata_project: "user_api_key_project_id" in Metadata;
    metadata_organization: "user_api_key_org_id" in Metadata;
    retries: "attempted_retries" in Metadata;
    cached_tokens: "cached_tokens" in PromptDetails;
    reasoning_tokens: "reasoning_tokens" in CompletionDetails;
    error_status: "error_code" in ErrorInformation;
    error_class: "error_class" in ErrorInformation;
    normalized_error: "normalized_error" in ErrorInformation;
    /// Present when the cost is 0 because it could not be found out.
    cost_failure: "error_type" | "reason" | "error_str" | "status" in CostDiagnostic;
}

/// Where in an event a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Event,
    Metadata,
    Usage,
    PromptDetails,
    CompletionDetails,
    ErrorInformation,
    CostDiagnostic,
    Tags,
    Leaf(Member),
    Nowhere,
}

impl Place {
    fn member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Event, "metadata") => Self::Metadata,
            (Self::Event, "request_tags") => Self::Tags,
            (Self::Event | Self::Metadata, "error_information") => Self::ErrorInformation,
            (Self::Event, "response_cost_failure_debug_info" | "zero_cost_diagnostic") => {
                Self::CostDiagnostic
            }
            (Self::Metadata, "usage_object") => Self::Usage,
            (Self::Usage, "prompt_tokens_details") => Self::PromptDetails,
            (Self::Usage, "completion_tokens_details") => Self::CompletionDetails,
            _ => self.leaf(name).map_or(Self::Nowhere, Self::Leaf),
        }
    }
}

impl LitellmEvent {
    /// Sets a column of the table of spend logs; columns of other names are passed over. Structured ones
    /// come as JSON, with or without quotation marks around it.
    pub fn set_column(&mut self, name: &str, cell: &str) {
        match Place::Event.member(name) {
            Place::Nowhere => {}
            Place::Leaf(member) => self.set(member, Told::of_text(cell)),
            place => {
                let mut json = serde_json::Deserializer::from_str(cell);
                // What cannot be read is as good as absent.
                drop(Walk { event: self, place, depth: 0 }.deserialize(&mut json));
            }
        }
    }

    /// Whether a column of this name is looked at.
    pub fn has_column(name: &str) -> bool {
        Place::Event.member(name) != Place::Nowhere
    }

    fn set(&mut self, member: Member, told: Option<Told>) {
        let slot = self.slot(member);
        if slot.is_none() {
            *slot = told;
        }
    }
}

/// Reads one event.
pub(super) struct EventSeed;

impl<'de> DeserializeSeed<'de> for EventSeed {
    type Value = LitellmEvent;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<LitellmEvent, D::Error> {
        let mut event = LitellmEvent::default();
        Walk { event: &mut event, place: Place::Event, depth: 0 }.deserialize(deserializer)?;
        Ok(event)
    }
}

/// Takes the value at a place; one of another kind than expected is as good as absent.
struct Walk<'e> {
    event: &'e mut LitellmEvent,
    place: Place,
    depth: u8,
}

impl Walk<'_> {
    fn told(self, told: Told) {
        if let Place::Leaf(member) = self.place {
            self.event.set(member, Some(told));
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.place {
            _ if self.depth > DEPTH_MAX => {
                deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ())
            }
            Place::Nowhere => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ()),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.told(Told::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.told(Told::Number(number as f64));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.told(Told::Number(number as f64));
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.told(Told::Number(number));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        match self.place {
            Place::Leaf(member) => self.event.set(member, Told::of_text(text)),
            Place::Tags if !text.starts_with(['[', '{', '"']) => {
                if self.event.tags.len() < TAGS_MAX && text.len() <= limits::LABEL_BYTES {
                    self.event.tags.push(Name::new(text));
                }
            }
            // Structured values of the table may come as a text of JSON.
            _ => {
                let mut json = serde_json::Deserializer::from_str(text);
                let Self { event, place, depth } = self;
                drop(Walk { event, place, depth: depth + 1 }.deserialize(&mut json));
            }
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<(), S::Error> {
        let Self { event, place, depth } = self;
        let depth = depth + 1;
        let place = if place == Place::Tags { place } else { Place::Nowhere };
        while seq.next_element_seed(Walk { event: &mut *event, place, depth })?.is_some() {}
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let Self { event, place, depth } = self;
        let depth = depth + 1;
        while let Some(member) = map.next_key_seed(MemberOf(place))? {
            map.next_value_seed(Walk { event: &mut *event, place: member, depth })?;
        }
        Ok(())
    }
}

/// Reads the name of a member.
struct MemberOf(Place);

impl<'de> DeserializeSeed<'de> for MemberOf {
    type Value = Place;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Place, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for MemberOf {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Place, E> {
        Ok(self.0.member(name))
    }
}
