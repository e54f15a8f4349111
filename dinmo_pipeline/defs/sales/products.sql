WITH today AS (
    SELECT max(ordered_at)::DATE AS day FROM models.orders
),

recent AS (
    SELECT
        items.product AS product_id,
        sum(items.quantity)::BIGINT AS units_sold,
        sum(items.amount)::DECIMAL(12, 2) AS revenue,
        max(orders.ordered_at)::DATE AS last_sold_on
    FROM models.orders AS orders
    JOIN entities.ordersitems AS items ON items.order = orders.order_id
    WHERE orders.ordered_at >= (SELECT day FROM today) - INTERVAL 30 DAY
    GROUP BY items.product
)

SELECT
    product_id,
    products.product_type AS name,
    products.brand,
    products.department,
    products.product_category AS category,
    products.package_size,
    recent.units_sold,
    recent.revenue,
    recent.last_sold_on
FROM recent
JOIN entities.products AS products USING (product_id)
