SELECT (SELECT count(*) FROM valid_customers) AS customers,
       (SELECT count(*) FROM valid_orders) AS orders,
       (SELECT count(*) FROM valid_lines) AS order_lines,
       (SELECT count(*) FROM valid_products) AS products,
       (SELECT count(*) FROM valid_rates) AS rates
