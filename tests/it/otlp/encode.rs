//! OTLP/JSON into protobuf, so that every body of a test can be sent in both encodings.

use data_encoding::HEXLOWER_PERMISSIVE;
use serde_json::Value;

/// A message being written.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    fn fixed(&mut self, field: u64, value: u64) {
        self.varint(field << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(u64::try_from(bytes.len()).unwrap());
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, value: &Value) {
        if let Some(text) = value.as_str() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn each(&mut self, field: u64, list: &Value, write: impl Fn(&Value) -> Vec<u8>) {
        for item in list.as_array().into_iter().flatten() {
            self.bytes(field, &write(item));
        }
    }
}

/// The body of an `ExportTraceServiceRequest`.
pub(crate) fn protobuf_of(json: &Value) -> Vec<u8> {
    let mut message = Message::default();
    message.each(1, &json["resourceSpans"], |resource_spans| {
        let mut message = Message::default();
        let mut resource = Message::default();
        resource.each(1, &resource_spans["resource"]["attributes"], attribute);
        message.bytes(1, &resource.0);
        message.each(2, &resource_spans["scopeSpans"], scope_spans);
        message.0
    });
    message.0
}

fn scope_spans(json: &Value) -> Vec<u8> {
    let mut message = Message::default();
    let mut scope = Message::default();
    scope.text(1, &json["scope"]["name"]);
    scope.text(2, &json["scope"]["version"]);
    message.bytes(1, &scope.0);
    message.each(2, &json["spans"], span);
    message.text(3, &json["schemaUrl"]);
    message.0
}

fn span(json: &Value) -> Vec<u8> {
    let mut message = Message::default();
    for (field, name) in [(1, "traceId"), (2, "spanId"), (4, "parentSpanId")] {
        if let Some(hex) = json[name].as_str() {
            message.bytes(field, &HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).unwrap());
        }
    }
    message.text(5, &json["name"]);
    message.number(6, whole(&json["kind"]));
    message.fixed(7, whole(&json["startTimeUnixNano"]));
    message.fixed(8, whole(&json["endTimeUnixNano"]));
    message.each(9, &json["attributes"], attribute);
    message.each(11, &json["events"], |event| {
        let mut message = Message::default();
        message.fixed(1, whole(&event["timeUnixNano"]));
        message.text(2, &event["name"]);
        message.each(3, &event["attributes"], attribute);
        message.0
    });
    let mut status = Message::default();
    status.text(2, &json["status"]["message"]);
    status.number(3, whole(&json["status"]["code"]));
    message.bytes(15, &status.0);
    message.0
}

fn attribute(json: &Value) -> Vec<u8> {
    let mut message = Message::default();
    message.text(1, &json["key"]);
    message.bytes(2, &any_value(&json["value"]));
    message.0
}

fn any_value(json: &Value) -> Vec<u8> {
    let mut message = Message::default();
    let Some((kind, value)) = json.as_object().and_then(|object| object.iter().next()) else {
        return message.0;
    };
    match kind.as_str() {
        "stringValue" => message.text(1, value),
        "boolValue" => message.number(2, u64::from(value.as_bool().unwrap())),
        "intValue" => {
            let number = value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap();
            message.number(3, number.cast_unsigned());
        }
        "doubleValue" => message.fixed(4, value.as_f64().unwrap_or(f64::NAN).to_bits()),
        "arrayValue" => {
            let mut array = Message::default();
            array.each(1, &value["values"], any_value);
            message.bytes(5, &array.0);
        }
        other => panic!("{other} is not known here"),
    }
    message.0
}

/// A number, however it is written.
fn whole(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}
