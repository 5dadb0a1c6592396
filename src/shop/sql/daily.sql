SELECT day, country, category, count(DISTINCT order_id) AS orders, sum(quantity)::bigint AS units,
       sum(revenue_eur)::numeric(18, 2) AS revenue_eur
FROM counted_lines
GROUP BY day, country, category
ORDER BY day, country COLLATE "C", category COLLATE "C"
