-- +goose Up
INSERT INTO products (product_id, name, description, price, category, inventory) VALUES
    ('espresso-cup',      'Espresso Cup',        'Stoneware cup, 80 ml, glazed by hand.',                   1250, 'kitchen',     400),
    ('french-press',      'French Press',        'Borosilicate glass and steel, one litre.',                3490, 'kitchen',     120),
    ('chef-knife',        'Chef''s Knife',       'Forged carbon steel, 20 cm blade.',                       8900, 'kitchen',      60),
    ('cutting-board',     'Cutting Board',       'End-grain oak, 40 by 30 cm.',                             5400, 'kitchen',      75),
    ('mechanical-keyboard', 'Mechanical Keyboard', 'Tenkeyless, hot-swappable switches, white backlight.', 12900, 'electronics', 150),
    ('wireless-mouse',    'Wireless Mouse',      'Three buttons, rechargeable, 70 hours on one charge.',    4999, 'electronics', 220),
    ('usb-c-hub',         'USB-C Hub',           'Seven ports, HDMI at 4K and 60 Hz, 100 W pass-through.',  5995, 'electronics', 180),
    ('noise-headphones',  'Noise-Cancelling Headphones', 'Over the ear, 35 hours of playback.',            24900, 'electronics',  90),
    ('desk-lamp',         'Desk Lamp',           'Warm to cold light, dimmable, with a clamp.',             6900, 'office',      110),
    ('notebook-a5',       'Notebook A5',         'Dotted, 192 pages, lies flat.',                           1495, 'office',      500),
    ('fountain-pen',      'Fountain Pen',        'Steel nib, piston filler, fine line.',                    3900, 'office',      130),
    ('standing-desk',     'Standing Desk',       'Electric, 62 to 127 cm, bamboo top.',                    64900, 'office',       15),
    ('running-shoes',     'Running Shoes',       'Neutral, 8 mm drop, for road and gravel.',               11990, 'sport',       140),
    ('yoga-mat',          'Yoga Mat',            'Natural rubber, 5 mm, does not slip.',                    4500, 'sport',       200),
    ('water-bottle',      'Water Bottle',        'Insulated steel, 750 ml, cold for a day.',                2795, 'sport',       350),
    ('climbing-rope',     'Climbing Rope',       'Dynamic, 9.5 mm by 60 m, dry treated.',                  18900, 'sport',        25);
