drop table lift.hole_resolutions;
