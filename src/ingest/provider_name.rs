//! One spelling for each provider.

use crate::model::Name;

/// The provider in the spelling of the OpenTelemetry conventions; others in lower case.
pub(crate) fn provider_name(sent: &str) -> Name {
    let mut name = Name::new(sent.trim());
    name.make_ascii_lowercase();
    if let Some(known) = known(&name) {
        return Name::new(known);
    }
    // The Vercel AI SDK appends the interface: `openai.chat`, `anthropic.messages`.
    let Some((maker, _)) = name.split_once('.') else { return name };
    match maker {
        "openai" | "anthropic" | "cohere" | "groq" | "xai" | "deepseek" | "perplexity"
        | "google" | "mistral" | "amazon-bedrock" => Name::new(known(maker).unwrap_or(maker)),
        _ => name,
    }
}

fn known(name: &str) -> Option<&'static str> {
    Some(match name {
        "az.ai.openai" | "azure" | "azure_openai" | "azure-openai" | "azure-openai.chat"
        | "azure.chat" | "azure.responses" => "azure.ai.openai",
        "az.ai.inference" => "azure.ai.inference",
        "vertex_ai" | "vertexai" | "google.vertex.chat" => "gcp.vertex_ai",
        "gemini" => "gcp.gemini",
        "google" => "gcp.gen_ai",
        "aws" | "bedrock" | "amazon" | "amazon-bedrock" => "aws.bedrock",
        "mistralai" | "mistral" => "mistral_ai",
        "xai" => "x_ai",
        "watsonx" => "ibm.watsonx.ai",
        "moonshot" => "moonshot_ai",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_become_one() {
        for (sent, expected) in [
            ("OpenAI", "openai"),
            ("openai.chat", "openai"),
            ("anthropic.messages", "anthropic"),
            ("google.generative-ai", "gcp.gen_ai"),
            ("azure", "azure.ai.openai"),
            ("azure.ai.openai", "azure.ai.openai"),
            ("aws.bedrock", "aws.bedrock"),
            ("mistral.chat", "mistral_ai"),
            ("my.own", "my.own"),
            ("ollama", "ollama"),
        ] {
            assert_eq!(provider_name(sent), expected, "{sent}");
        }
    }
}
