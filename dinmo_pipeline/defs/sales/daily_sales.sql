SELECT
    orders.ordered_at::DATE AS sold_on,
    coalesce(products.department, 'UNKNOWN') AS department,
    count(DISTINCT orders.order_id) AS orders,
    sum(items.quantity)::BIGINT AS units,
    sum(items.amount)::DECIMAL(12, 2) AS revenue,
    sum(items.discounts)::DECIMAL(12, 2) AS discounts
FROM models.orders AS orders
JOIN entities.ordersitems AS items ON items.order = orders.order_id
LEFT JOIN entities.products AS products ON products.product_id = items.product
GROUP BY ALL
