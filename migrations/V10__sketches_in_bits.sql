-- Sketches in less than half of the bytes. The function is the program's own.

update sketch_all set
    total_latency_sketch = recode_sketch(total_latency_sketch),
    context_latency_sketch = recode_sketch(context_latency_sketch),
    llm_latency_sketch = recode_sketch(llm_latency_sketch),
    time_to_first_token_sketch = recode_sketch(time_to_first_token_sketch);

update sketch_space set
    total_latency_sketch = recode_sketch(total_latency_sketch),
    context_latency_sketch = recode_sketch(context_latency_sketch),
    llm_latency_sketch = recode_sketch(llm_latency_sketch),
    time_to_first_token_sketch = recode_sketch(time_to_first_token_sketch);

update sketch_model set
    total_latency_sketch = recode_sketch(total_latency_sketch),
    context_latency_sketch = recode_sketch(context_latency_sketch),
    llm_latency_sketch = recode_sketch(llm_latency_sketch),
    time_to_first_token_sketch = recode_sketch(time_to_first_token_sketch);
