//! The OpenAPI schema of the records that `POST /api/requests` receives: its properties are the fields that are read.

use std::borrow::Cow;

use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::ingest::wire::{Field, TAGS_FIELD, ValueType};
use crate::model::ErrorType;
use crate::model::spelling::Spelled as _;

/// One record, or an array of records.
pub(crate) struct Records;

/// One record.
struct Record;

impl PartialSchema for Records {
    fn schema() -> RefOr<Schema> {
        let record = || Ref::from_schema_name(Record::name());
        let array = ArrayBuilder::new().items(record());
        OneOfBuilder::new().item(record()).item(array).into()
    }
}

impl ToSchema for Records {
    fn name() -> Cow<'static, str> {
        "Records".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Record::name().into_owned(), Record::schema()));
    }
}

impl PartialSchema for Record {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let tags = OneOfBuilder::new()
            .description(Some(
                "Up to 8 short tags of up to 64 bytes: an object, or an array of texts.",
            ))
            .item(ObjectBuilder::new())
            .item(ArrayBuilder::new().items(text()))
            .item(ObjectBuilder::new().schema_type(Type::Null));
        let record = ObjectBuilder::new()
            .description(Some("One request. Every field is optional; `null` means unknown."))
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
            .property(TAGS_FIELD, tags);
        let fields = Field::VALUES.iter();
        fields
            .fold(record, |record, (field, name, description)| {
                record.property(*name, of_field(*field).description(Some(description.trim())))
            })
            .into()
    }
}

impl ToSchema for Record {
    fn name() -> Cow<'static, str> {
        "Record".into()
    }
}

fn of_field(field: Field) -> ObjectBuilder {
    let types: &[Type] = match field.value_type() {
        ValueType::Text => &[Type::String],
        ValueType::Number => &[Type::Number],
        ValueType::Integer => &[Type::Integer],
        ValueType::Flag => &[Type::Boolean],
        ValueType::Time => &[Type::String, Type::Number],
    };
    let types = types.iter().cloned().chain([Type::Null]);
    let schema = ObjectBuilder::new().schema_type(SchemaType::from_iter(types));
    if field != Field::ErrorType {
        return schema;
    }
    let words = ErrorType::ALL.iter().map(|kind| Some(kind.as_str()));
    schema.enum_values(Some(words.chain([None])))
}
