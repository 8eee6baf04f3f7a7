# SPDX-License-Identifier: MIT OR Apache-2.0
"""The two questions of `bench-report`, asked of DuckDB: query.py top|windows FOLDER."""

import sys

import duckdb

# Named columns spare DuckDB the look for types: its fast way.
ROWS = """
    FROM read_json('{folder}/*/*.jsonl*', format = 'newline_delimited', filename = true,
                   columns = {{type: 'VARCHAR', seq: 'UBIGINT', src: 'VARCHAR', dst_port: 'USMALLINT',
                              syn: 'UBIGINT', packets: 'UBIGINT', born_boot_ns: 'UBIGINT'}})
    WHERE type = 'source'
"""

QUERIES = {
    # Who sent the most SYNs: the newest state of each life, summed by address.
    "top": """
        SELECT src, sum(syn) AS syn FROM (
          SELECT split_part(filename, '/', -2) AS scope, src, dst_port, born_boot_ns, max(syn) AS syn
          {rows} GROUP BY ALL)
        GROUP BY src ORDER BY syn DESC, src LIMIT 5
    """,
    # What each source sent in each window, and the five greatest of these sums.
    "windows": """
        SELECT src, max(syn) AS syn FROM (
          SELECT scope, src, seq, sum(syn) AS syn, sum(packets) AS packets FROM (
            SELECT scope, src, seq, syn - lag(syn, 1, 0) OVER life AS syn,
                   packets - lag(packets, 1, 0) OVER life AS packets
            FROM (SELECT *, split_part(filename, '/', -2) AS scope {rows})
            WINDOW life AS (PARTITION BY scope, src, dst_port, born_boot_ns ORDER BY seq))
          GROUP BY ALL)
        GROUP BY src ORDER BY syn DESC, src LIMIT 5
    """,
}


def main(name: str, folder: str) -> None:
    """Prints one line for each of the five sources."""
    rows = ROWS.format(folder=folder)
    for src, syn in duckdb.sql(QUERIES[name].format(rows=rows)).fetchall():
        print(f"{src}\t{syn}")


if __name__ == "__main__":
    main(*sys.argv[1:])
