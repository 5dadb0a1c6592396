-- The export tables have no keys on purpose: that is how duplicates come to be.
CREATE SCHEMA IF NOT EXISTS shop;
CREATE SCHEMA IF NOT EXISTS catalogue;

CREATE TABLE shop.customers (
    customer_id bigint, name text, email text, country text, segment text, birth_date text,
    created_at timestamptz, updated_at timestamptz
);
CREATE TABLE shop.orders (
    order_id bigint, customer_id bigint, ordered_at timestamptz, currency text, status text, shipping text,
    updated_at timestamptz
);
CREATE TABLE shop.order_lines (
    order_id bigint, line_no integer, product_id bigint, quantity integer, unit_price numeric(12, 2),
    discount numeric(5, 4), updated_at timestamptz
);
CREATE TABLE catalogue.products (payload text, updated_at timestamptz, ord bigserial);
CREATE TABLE catalogue.rates (day date, currency text, eur_per_unit numeric(18, 8));
CREATE TABLE shop.life (day_no integer PRIMARY KEY, day date NOT NULL);

CREATE INDEX customers_updated_at ON shop.customers (updated_at);
CREATE INDEX customers_customer_id ON shop.customers (customer_id);
CREATE INDEX orders_updated_at ON shop.orders (updated_at);
CREATE INDEX orders_order_id ON shop.orders (order_id);
CREATE INDEX order_lines_updated_at ON shop.order_lines (updated_at);
CREATE INDEX order_lines_order_id ON shop.order_lines (order_id, line_no);
CREATE INDEX products_updated_at ON catalogue.products (updated_at);
CREATE INDEX products_ord ON catalogue.products (ord);
CREATE INDEX rates_day ON catalogue.rates (day, currency);
