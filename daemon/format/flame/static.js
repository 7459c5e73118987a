// SPDX-License-Identifier: Apache-2.0
// A page whose data is inside.

setProfile(JSON.parse(byId('profile').textContent));
byId('profile').remove();
start();
