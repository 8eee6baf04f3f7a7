# SPDX-License-Identifier: MIT OR Apache-2.0
"""What `ibsr-report` should find, asked of DuckDB in SQL: oracle.py FOLDER WINDOW_NS RULE.

Independent of the report: it reads the JSON Lines itself and shares no line of code. It knows
recordings of one day without gaps, whose sweeps follow an attachment. RULE is JSON: `hit`, a
condition of a window in SQL; `k`, `of`, `ttl_windows`; and the guards `allow`, `established_s`,
`shared` and `ports`.
"""

import json
import sys

import duckdb

COUNTERS = ["syn", "ack", "handshakes", "fin", "rst", "packets", "bytes"]

ROWS = """
CREATE TEMP TABLE line AS SELECT * FROM read_json($folder || '/**/*.jsonl*',
  format = 'newline_delimited', hive_partitioning = true, columns = {type: 'VARCHAR',
  attached_boot_ns: 'HUGEINT', seq: 'UBIGINT', at_boot_ns: 'HUGEINT', src: 'VARCHAR',
  dst_port: 'INTEGER', born_boot_ns: 'HUGEINT', syn: 'HUGEINT', ack: 'HUGEINT',
  handshakes: 'HUGEINT', fin: 'HUGEINT', rst: 'HUGEINT', packets: 'HUGEINT', bytes: 'HUGEINT'});

CREATE TEMP TABLE sweep AS
SELECT host, scope, seq, at_boot_ns AS until, lag(at_boot_ns, 1, attached) OVER
  (PARTITION BY host, scope ORDER BY seq) AS since
FROM line JOIN (SELECT host, scope, min(attached_boot_ns) AS attached FROM line
                WHERE type = 'header' GROUP BY ALL) USING (host, scope)
WHERE type = 'sweep';
"""

# Increments of each life of an entry, with the interval that they were counted in.
INCREMENTS = """
CREATE TEMP TABLE increment AS
SELECT host, scope, src, dst_port, seq, since, until, {differences}
FROM line JOIN sweep USING (host, scope, seq)
WHERE type = 'source'
WINDOW life AS (PARTITION BY host, scope, src, dst_port, born_boot_ns ORDER BY seq);
"""

# A share of an interval's count, up to each edge rounded down, so that the sum is exact.
SPREAD = """
SELECT {key}, w, {shares}
FROM (SELECT *, unnest(range((since // $w)::BIGINT,
  ((until - 1) // $w)::BIGINT + 1)) AS w FROM ({of}))
"""

WINDOWS = """
CREATE TEMP TABLE observed AS
SELECT host, scope, min(since) AS since, max(until) AS until FROM sweep GROUP BY ALL;

CREATE TEMP TABLE touched AS
SELECT host, scope, src, (until - 1) // $w AS w, count(DISTINCT dst_port) AS ports
FROM increment WHERE packets > 0 GROUP BY ALL;

CREATE TEMP TABLE win AS
SELECT host, scope, src, w, {sums}, coalesce(any_value(ports), 0) AS ports,
  bool_and(w * $w >= observed.since AND (w + 1) * $w <= observed.until) AS is_complete
FROM ({spread}) JOIN observed USING (host, scope) LEFT JOIN touched USING (host, scope, src, w)
GROUP BY host, scope, src, w HAVING sum(packets) > 0;
"""

# What is known of a source when one of its windows is judged.
JUDGED = """
CREATE TEMP TABLE judged AS
SELECT *, is_complete AND ({hit}) AS is_hit,
  max(w) FILTER (handshakes > 0) OVER past AS shaken,
  max(handshakes) FILTER (is_complete) OVER (PARTITION BY host, scope, src
    ORDER BY w * $w // 1800000000000 RANGE BETWEEN 1 PRECEDING AND CURRENT ROW
    EXCLUDE GROUP) AS earlier_most,
  max(handshakes) FILTER (is_complete) OVER (PARTITION BY host, scope, src, w * $w // 1800000000000
    ORDER BY w) AS most
FROM win WINDOW past AS (PARTITION BY host, scope, src ORDER BY w);

CREATE TEMP TABLE decided AS
SELECT host, scope, src, w FROM (
  SELECT *, count(*) FILTER (is_hit) OVER (PARTITION BY host, scope, src ORDER BY w
    RANGE BETWEEN $of - 1 PRECEDING AND CURRENT ROW) AS hits FROM judged)
WHERE is_hit AND hits >= $k AND NOT list_contains($allow, src)
  AND NOT coalesce((w - shaken) * $w <= $established_s::HUGEINT * 1000000000, false)
  AND 1 + greatest(coalesce(most, 0), coalesce(earlier_most, 0)) * 1000000000 // $w < $shared;

CREATE TEMP TABLE acting AS
SELECT DISTINCT host, scope, src, unnest(range(current + 1, current + 1 + $ttl_windows)) AS w
FROM (SELECT host, scope, src, (min(until) // $w)::BIGINT AS current
      FROM decided JOIN sweep USING (host, scope)
      WHERE until >= (decided.w + 1) * $w GROUP BY host, scope, src, decided.w);
"""

SOURCES = """
SELECT src, label, {columns}, ports, peak FROM (
  SELECT *, CASE
    WHEN handshakes > 0 THEN
      CASE WHEN 2 * handshakes >= syn AND ack > handshakes THEN 'legitimate' ELSE 'unknown' END
    WHEN syn >= 20 OR ports >= 10 THEN
      CASE WHEN peak <= 50 AND 2 * rst >= syn AND rst <= syn AND ports < 10
        THEN 'unknown' ELSE 'abusive' END
    WHEN syn <= 3 AND ack = 0 THEN 'spoofable' ELSE 'unknown' END AS label
  FROM (SELECT src, {sums} FROM increment GROUP BY src)
  JOIN (SELECT src, max(ports) AS ports FROM (
          SELECT host, scope, src, count(DISTINCT dst_port) AS ports
          FROM increment WHERE packets > 0 GROUP BY ALL) GROUP BY src) USING (src)
  LEFT JOIN (SELECT src, nullif(max(syn), 0) AS peak FROM win WHERE is_complete GROUP BY src) USING (src))
"""

ACTED = """
SELECT src, sum(syn), sum(packets), sum(handshakes)
FROM ({spread}) SEMI JOIN acting USING (host, scope, src, w)
WHERE NOT list_contains($ports, dst_port) GROUP BY src HAVING sum(packets) > 0
"""


def spread(key: str, of: str) -> str:
    """A query that spreads the increments in `of` over windows."""
    share = (
        "({name} * (least(until, (w + 1) * $w) - since)) // (until - since)"
        " - ({name} * (greatest(since, w * $w) - since)) // (until - since) AS {name}"
    )
    shares = ", ".join(share.format(name=name) for name in COUNTERS)
    return SPREAD.format(key=key, of=of, shares=shares)


def sums(names: list[str]) -> str:
    """The sum of each of `names`, under its own name."""
    return ", ".join(f"sum({name})::HUGEINT AS {name}" for name in names)


def answer(folder: str, window_ns: int, rule: dict) -> dict:
    """Counts of every source, and what of them the rule would have acted on."""
    base = duckdb.connect()

    def run(query: str) -> duckdb.DuckDBPyConnection:
        given = {"folder": folder, "w": window_ns, **rule}
        return base.execute(query, {k: v for k, v in given.items() if f"${k}" in query})

    def each(queries: str) -> None:
        for query in filter(str.strip, queries.split(";")):
            run(query)

    difference = "{0} - lag({0}, 1, 0) OVER life AS {0}"
    each(ROWS)
    each(INCREMENTS.format(differences=", ".join(difference.format(name) for name in COUNTERS)))
    key = "host, scope, src"
    by_source = f"SELECT {key}, seq, since, until, {sums(COUNTERS)} FROM increment GROUP BY ALL"
    each(WINDOWS.format(sums=sums(COUNTERS), spread=spread(key, by_source)))
    each(JUDGED.format(hit=rule["hit"]))
    columns = ["label", *COUNTERS, "ports", "peak_window_syn"]
    sources = run(SOURCES.format(columns=", ".join(COUNTERS), sums=sums(COUNTERS))).fetchall()
    acted = run(ACTED.format(spread=spread(f"{key}, dst_port", "FROM increment"))).fetchall()
    return {
        "sources": {src: dict(zip(columns, row, strict=True)) for src, *row in sources},
        "acted": {src: list(row) for src, *row in acted},
    }


if __name__ == "__main__":
    print(json.dumps(answer(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])), default=int))
