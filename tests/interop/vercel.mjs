// The Vercel AI SDK over OTLP: node vercel.mjs 5|7 proto|json, in a folder with the packages.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(process.cwd() + '/here.js');
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const [version, encoding] = process.argv.slice(2);
const provider = process.env.FAKE_PROVIDER;

const { NodeTracerProvider } = require('@opentelemetry/sdk-trace-node');
const { BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');
const exporter = encoding === 'json' ? 'http' : 'proto';
const { registerInstrumentations } = require('@opentelemetry/instrumentation');
const { UndiciInstrumentation } = require('@opentelemetry/instrumentation-undici');
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${exporter}`);

// Version 7 puts no metadata on the spans of calls; a processor does for every kind of span.
const whoAsks = {
  onStart: (span) =>
    span.setAttributes({ 'user.id': 'user-1', 'session.id': 'sess-1', 'app.space': 'acme' }),
  onEnd: () => {},
  forceFlush: async () => {},
  shutdown: async () => {},
};
const processors = [new BatchSpanProcessor(new OTLPTraceExporter())];
if (version === '7') processors.unshift(whoAsks);
const tracing = new NodeTracerProvider({ spanProcessors: processors });
tracing.register();
// Version 5 tells only that a call failed; the spans of its requests tell how.
registerInstrumentations({ instrumentations: [new UndiciInstrumentation()] });

const ai = await load('ai');
const { createOpenAI } = await load('@ai-sdk/openai');
const { z } = await load('zod');
if (version === '7') {
  const { OpenTelemetry } = await load('@ai-sdk/otel');
  ai.registerTelemetry(new OpenTelemetry());
}
const openai = createOpenAI({ baseURL: `${provider}/v1`, apiKey: 'sk-SECRETKEY' });
const nowhere = createOpenAI({ baseURL: 'http://127.0.0.1:9/v1', apiKey: 'sk-SECRETKEY' });
const metadata = { userId: 'user-1', sessionId: 'sess-1', space: 'acme' };
const telemetry =
  version === '7'
    ? { telemetry: { isEnabled: true, functionId: 'chat' } }
    : { experimental_telemetry: { isEnabled: true, functionId: 'chat', metadata } };
const words =
  version === '7'
    ? { instructions: 'SECRETSYS', prompt: 'SECRETPROMPT hi' }
    : { system: 'SECRETSYS', prompt: 'SECRETPROMPT hi' };
const ask = { ...words, ...telemetry, maxRetries: 0 };
const model = openai.chat('gpt-4o-mini');

// The SDK always asks for the usage of a stream; one stream of the workload has none.
const withoutUsage = (url, request) => {
  const body = JSON.parse(request.body);
  delete body.stream_options;
  return fetch(url, { ...request, body: JSON.stringify(body) });
};
const frugal = createOpenAI({ baseURL: `${provider}/v1`, apiKey: 'sk-SECRETKEY', fetch: withoutUsage });

const read = async (model) => {
  const stream = ai.streamText({ model, ...ask });
  for await (const _ of stream.textStream);
};
await ai.generateText({ model, ...ask });
await read(model);
await read(frugal.chat('gpt-4o-mini'));
const search = ai.tool({
  description: 'SECRETDESC',
  inputSchema: z.object({ q: z.string() }),
  execute: async () => 'SECRETRESULT',
});
const stopWhen = (ai.stepCountIs ?? ai.isStepCount)(1);
await ai.generateText({ model, tools: { search }, stopWhen, ...ask });
for (const failing of [openai.chat('err-429'), openai.chat('err-500'), nowhere.chat('gpt-4o-mini')]) {
  try {
    await ai.generateText({ model: failing, ...ask });
    throw new Error('it did not fail');
  } catch (error) {
    if (error.message === 'it did not fail') throw error;
  }
}
await ai.generateText({ model: openai.responses('gpt-4o-mini'), ...ask });
await read(openai.responses('gpt-4o-mini'));
const embed = (openai.embedding ?? openai.textEmbeddingModel)('text-embedding-3-small');
await ai.embedMany({ model: embed, values: ['SECRETEMB a', 'b'], ...telemetry });
await tracing.forceFlush();
await tracing.shutdown();
