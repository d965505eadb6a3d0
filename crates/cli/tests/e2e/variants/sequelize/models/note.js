'use strict';

module.exports = (sequelize, DataTypes) => sequelize.define('Note', { message: { type: DataTypes.STRING, allowNull: false } });
