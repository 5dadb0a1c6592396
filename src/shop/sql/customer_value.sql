SELECT customer_id, country, segment, min(day) AS first_order_day, max(day) AS last_order_day,
       count(DISTINCT order_id) AS orders, sum(revenue_eur)::numeric(18, 2) AS revenue_eur
FROM counted_lines
GROUP BY customer_id, country, segment
ORDER BY customer_id
