"""Small Parquet files as the Hugging Face hub publishes NanoBEIR and BRIGHT, written by pyarrow.

    python reference/parquet_sets.py

writes src/data/goldens/parquet/*.parquet. Made with pyarrow 26.0.1.
"""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = pathlib.Path(__file__).resolve().parent.parent / 'src' / 'data' / 'goldens' / 'parquet'
FOLDER.mkdir(parents=True, exist_ok=True)


def write(name, compression='snappy', **columns):
    pq.write_table(pa.table(columns), FOLDER / f'{name}.parquet', compression=compression)


write('nano-corpus', _id=['d1', 'd2', 'd3'], text=['a saw', 'ein Boot, größer', 'a cat\nand more'])
write('nano-queries', _id=['q1', 'q2'], text=['saw', 'cat'])
write('nano-qrels', **{'query-id': ['q1', 'q2', 'q2'], 'corpus-id': ['d1', 'd3', 'd2']})
write('bright-documents', compression='gzip', id=['x/1.txt', 'x/2.txt', 'x/3.txt'], content=['leaves', 'trees', 'roots'])
write(
    'bright-examples',
    query=['why do leaves fall', 'what are roots'], reasoning=['', ''], id=['0', '1'],
    excluded_ids=pa.array([['N/A'], ['x/1.txt', 'x/2.txt']], pa.list_(pa.string())),
    gold_ids_long=pa.array([['x'], ['x']], pa.list_(pa.string())),
    gold_ids=pa.array([['x/1.txt', 'x/2.txt'], ['x/3.txt']], pa.list_(pa.string())),
    gold_answer=['N/A', 'N/A'],
)
