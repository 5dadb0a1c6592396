-- What is valid in the export tables, the newest valid version of each key. Statements are appended to this.
-- CASE where the order of evaluation matters: nothing is cast before it is known to be castable.
WITH valid_customers AS MATERIALIZED (
    SELECT DISTINCT ON (customer_id) *
    FROM shop.customers
    WHERE customer_id IS NOT NULL
      AND email ~ %(email)s
      AND country = ANY (%(countries)s)
      AND segment = ANY (%(segments)s)
      AND CASE
              WHEN birth_date IS NULL THEN true
              WHEN birth_date !~ %(iso_date)s OR NOT pg_input_is_valid(birth_date, 'date') THEN false
              ELSE birth_date::date BETWEEN %(earliest_birth)s::date AND %(latest_birth)s::date
          END
    ORDER BY customer_id, updated_at DESC
),
parsed_products AS MATERIALIZED (
    SELECT CASE WHEN payload IS JSON OBJECT THEN payload::jsonb END AS record, updated_at
    FROM catalogue.products
),
valid_products AS MATERIALIZED (
    SELECT DISTINCT ON (product_id) product_id, category
    FROM (
        SELECT (record ->> 'product_id')::numeric AS product_id, record ->> 'category' AS category, updated_at
        FROM parsed_products
        WHERE CASE
                  WHEN jsonb_typeof(record -> 'product_id') = 'number'
                  THEN (record ->> 'product_id')::numeric > 0
                       AND (record ->> 'product_id')::numeric = trunc((record ->> 'product_id')::numeric)
              END
          AND jsonb_typeof(record -> 'name') = 'string' AND record ->> 'name' <> ''
          AND record ->> 'category' = ANY (%(categories)s)
          AND CASE jsonb_typeof(record -> 'price')
                  WHEN 'number' THEN (record ->> 'price')::numeric >= 0
                  WHEN 'string' THEN record ->> 'price' ~ %(price)s
              END
          AND jsonb_typeof(record -> 'attributes') = 'string'
          AND (record ->> 'attributes') IS JSON OBJECT
    ) AS sound
    ORDER BY product_id, updated_at DESC
),
valid_rates AS MATERIALIZED (
    SELECT DISTINCT day, currency, eur_per_unit
    FROM catalogue.rates
    WHERE currency = ANY (%(currencies)s) AND eur_per_unit > 0
),
valid_orders AS MATERIALIZED (
    SELECT DISTINCT ON (order_id) o.*
    FROM shop.orders AS o
    JOIN valid_customers AS c USING (customer_id)
    WHERE o.order_id IS NOT NULL
      AND o.currency = ANY (%(currencies)s)
      AND o.status = ANY (%(statuses)s)
      AND o.ordered_at >= %(earliest_order)s::timestamptz
      AND o.ordered_at <= o.updated_at + %(clock_skew)s::interval
      AND CASE
              WHEN o.shipping IS JSON OBJECT
              THEN jsonb_typeof(o.shipping::jsonb -> 'city') = 'string' AND o.shipping::jsonb ->> 'city' <> ''
          END
    ORDER BY order_id, o.updated_at DESC
),
valid_lines AS MATERIALIZED (
    SELECT DISTINCT ON (l.order_id, l.line_no) l.*
    FROM shop.order_lines AS l
    JOIN valid_orders AS o ON o.order_id = l.order_id
    JOIN valid_products AS p ON p.product_id = l.product_id
    WHERE l.line_no IS NOT NULL
      AND l.quantity > 0
      AND l.unit_price >= 0
      AND l.discount >= 0 AND l.discount < 1
    ORDER BY l.order_id, l.line_no, l.updated_at DESC
),
counted_lines AS MATERIALIZED (
    SELECT (o.ordered_at AT TIME ZONE 'UTC')::date AS day, o.order_id, o.customer_id, c.country, c.segment,
           p.category, l.quantity,
           round(l.quantity * l.unit_price * (1 - l.discount) * r.eur_per_unit, 2) AS revenue_eur
    FROM valid_lines AS l
    JOIN valid_orders AS o ON o.order_id = l.order_id
    JOIN valid_customers AS c ON c.customer_id = o.customer_id
    JOIN valid_products AS p ON p.product_id = l.product_id
    CROSS JOIN LATERAL (
        SELECT r.eur_per_unit
        FROM valid_rates AS r
        WHERE r.currency = o.currency AND r.day <= (o.ordered_at AT TIME ZONE 'UTC')::date
        ORDER BY r.day DESC
        LIMIT 1
    ) AS r
    WHERE o.status <> %(uncounted)s
)
